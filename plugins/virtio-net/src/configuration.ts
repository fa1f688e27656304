// Configuration space of virtio-net (virtio 1.2, section 5.1.4): address, link status, and what the offered features add.
import { macBytes, rssHashTypes, rssKeyBytes, rssTableEntries } from "./constants.ts";

export interface NetConfiguration {
  readonly mac: Uint8Array;
  readonly status: number;
  /** Present where MQ is offered. */
  readonly maxQueuePairs: number | undefined;
  /** Present where MTU is offered. Bytes. */
  readonly mtu: number | undefined;
  /** RSS is offered. */
  readonly rss: boolean;
}

const at = { status: 6, pairs: 8, mtu: 10, speed: 12, duplex: 16, rssKey: 17, rssTable: 18, hashTypes: 20 } as const;

/** Bytes of each field. */
export const configurationWidths: readonly number[] = [...new Array<number>(macBytes).fill(1), 2, 2, 2, 4, 1, 1, 2, 4];

/** As long as the last field that a feature brings (QEMU: feature_sizes of virtio-net). Little-endian. */
export function configurationBytes({ mac, status, maxQueuePairs, mtu, rss }: NetConfiguration): Uint8Array {
  const length = rss
    ? at.hashTypes + 4
    : mtu !== undefined
      ? at.speed
      : maxQueuePairs !== undefined
        ? at.mtu
        : at.pairs;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(mac);
  view.setUint16(at.status, status, true);
  if (length > at.pairs) view.setUint16(at.pairs, maxQueuePairs ?? 1, true);
  if (length > at.mtu) view.setUint16(at.mtu, mtu ?? 0, true);
  if (!rss) return bytes;
  // Speed and duplex are not known.
  bytes.fill(0xff, at.speed, at.duplex + 1);
  bytes[at.rssKey] = rssKeyBytes;
  view.setUint16(at.rssTable, rssTableEntries, true);
  view.setUint32(at.hashTypes, rssHashTypes, true);
  return bytes;
}
