// The evidence, examined: every block and packet that either process let out, the disk, and the guest's pool of pages.
import {
  checkBlock,
  checkDisk,
  checkPacket,
  checkPool,
  checkSequence,
  emptyTally,
  isClean,
  tallyArrival,
  type Verdict,
} from "../evidence.ts";
import { type GuestStatus, readStatusBlock } from "../guest/status-block.ts";
import { readDisk, readJournal, readPackets, sectorBytes } from "../host/storage.ts";
import { macAddress } from "../profiles/profile.ts";
import type { Evidence } from "./messages.ts";

export interface Examined {
  readonly evidence: Evidence;
  readonly clean: boolean;
}

/** The pool of a machine that stands: `ram` and `guest` are of the same instant. */
export function examinePool(ram: Uint8Array): Verdict {
  const guest = readStatusBlock(ram);
  if (guest === undefined) throw new Error("the guest has not begun");
  return checkPool(ram, guest);
}

/** Of a machine that stands. `pool` was examined before it ran here. */
export async function examine(folder: string, guest: GuestStatus, pool: Verdict, seed: number): Promise<Examined> {
  const image = await readDisk(folder);
  const blocks = { completed: guest.blocksCompleted, submitted: guest.blocksSubmitted };
  const packets = { completed: guest.packetsCompleted, submitted: guest.packetsSubmitted };
  const written = emptyTally();
  for (const { bytes } of await readJournal(folder)) tallyArrival(written, checkBlock(bytes, seed));
  const sent = emptyTally();
  for (const frame of await readPackets(folder)) tallyArrival(sent, checkPacket(frame, seed, macAddress));
  const evidence: Evidence = {
    blocks: checkSequence(written, blocks),
    packets: checkSequence(sent, packets),
    disk: checkDisk(image.subarray(0, guest.diskSectors * sectorBytes), seed, blocks),
    pool,
  };
  return { evidence, clean: Object.values(evidence).every(isClean) };
}
