/** What the guest says about the cards that were plugged while it ran. */
import * as map from "../memory-map.ts";

export interface CardStatus {
  /** The connector's index. */
  connector: number;
  /** CARD_STAGE_* */
  stage: number;
  /** Events that announced it. */
  events: number;
  /** Of its device tree: how many the walk under way has had, or the last one had in all. */
  tokens: number;
  /** Times that firmware had no token ready. */
  busy: number;
  /** Walks that found the tree whole; the next three are of the last one. */
  walks: number;
  nodes: number;
  properties: number;
  checksum: number;
  /** Times that it was given back to firmware. */
  releases: number;
  packetsSubmitted: number;
  packetsCompleted: number;
  /** device << 3 | function. */
  slot: number;
}

/** Reads the card blocks in use from `ram`, which is the whole RAM. */
export function readCardBlocks(ram: Uint8Array): CardStatus[] {
  const all = Array.from({ length: map.CARD_COUNT }, (_, number) => readCardBlock(ram, number));
  return all.filter(({ connector }) => connector !== 0);
}

function readCardBlock(ram: Uint8Array, number: number): CardStatus {
  const at = map.CARD_BLOCK_OFFSET + number * map.CARD_BLOCK_BYTES;
  const view = new DataView(ram.buffer, ram.byteOffset + at, map.CARD_BLOCK_BYTES);
  const field = (offset: number): number => view.getUint32(offset, true);
  return {
    connector: field(map.CARD_BLOCK_CONNECTOR),
    stage: field(map.CARD_BLOCK_STAGE),
    events: field(map.CARD_BLOCK_EVENTS),
    tokens: field(map.CARD_BLOCK_TOKENS),
    busy: field(map.CARD_BLOCK_BUSY),
    walks: field(map.CARD_BLOCK_WALKS),
    nodes: field(map.CARD_BLOCK_NODES),
    properties: field(map.CARD_BLOCK_PROPERTIES),
    checksum: field(map.CARD_BLOCK_CHECKSUM),
    releases: field(map.CARD_BLOCK_RELEASES),
    packetsSubmitted: field(map.CARD_BLOCK_PACKETS_SUBMITTED),
    packetsCompleted: field(map.CARD_BLOCK_PACKETS_COMPLETED),
    slot: field(map.CARD_BLOCK_SLOT),
  };
}
