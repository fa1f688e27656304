// Configuration space of virtio-net (virtio 1.2, section 5.1.4): address, link status, and the number of queue pairs.
import { macBytes } from "./constants.ts";

export interface NetConfiguration {
  readonly mac: Uint8Array;
  readonly status: number;
  /** Present where MQ is offered. */
  readonly maxQueuePairs: number | undefined;
}

/** mac[6], le16 status, and with MQ le16 max_virtqueue_pairs. */
export function configurationBytes({ mac, status, maxQueuePairs }: NetConfiguration): Uint8Array {
  const bytes = new Uint8Array(maxQueuePairs === undefined ? 8 : 10);
  bytes.set(mac);
  bytes[macBytes] = status & 0xff;
  bytes[macBytes + 1] = status >> 8;
  if (maxQueuePairs !== undefined) {
    bytes[8] = maxQueuePairs & 0xff;
    bytes[9] = maxQueuePairs >> 8;
  }
  return bytes;
}
