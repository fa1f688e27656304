// One frame into the driver's receive buffers: into one, or, where that was negotiated, across as many as it takes.
import { segmentBytes, type Virtqueue, type VirtqueueElement } from "@godwit/virtio-core";
import { headerBytes, type PacketHeader } from "./packet-header.ts";

export interface ReceiveRules {
  readonly headerLength: 10 | 12;
  /** MRG_RXBUF. */
  readonly merged: boolean;
  readonly littleEndian: boolean;
}

/**
 * Undefined: the driver has given too few buffers, and none is taken. Dropped: without merging, the frame does not fit
 * into the next one. The caller notifies.
 */
export function deliver(
  queue: Virtqueue,
  frame: Uint8Array,
  header: PacketHeader,
  rules: ReceiveRules,
): "delivered" | "dropped" | undefined {
  const bytes = rules.headerLength + frame.length;
  const taken = takeBuffers(queue, bytes, rules.merged);
  if (taken === undefined) return undefined;
  const fits = taken.reduce((sum, element) => sum + segmentBytes(element.in), 0) >= bytes;
  const [first] = taken;
  // A header is never split (virtio 1.2, section 5.1.6.3.1).
  if (!fits || first === undefined || segmentBytes(first.in) < rules.headerLength) {
    giveBack(queue, taken);
    return "dropped";
  }
  const message = new Uint8Array(bytes);
  message.set(headerBytes(header, rules.headerLength, taken.length, rules.littleEndian));
  message.set(frame, rules.headerLength);
  let at = 0;
  for (const element of taken) {
    const part = message.subarray(at, at + segmentBytes(element.in));
    queue.write(element, 0, part);
    at += part.length;
    queue.push(element, part.length);
  }
  return "delivered";
}

/** One buffer, or as many as hold `bytes`. Undefined: there are not enough. */
function takeBuffers(queue: Virtqueue, bytes: number, merged: boolean): VirtqueueElement[] | undefined {
  const taken: VirtqueueElement[] = [];
  for (let room = 0; room < bytes; ) {
    const element = queue.pop();
    if (element === undefined) {
      giveBack(queue, taken);
      return undefined;
    }
    taken.push(element);
    room += segmentBytes(element.in);
    if (!merged) break;
  }
  return taken;
}

function giveBack(queue: Virtqueue, taken: readonly VirtqueueElement[]): void {
  for (const element of taken.toReversed()) queue.unpop(element);
}
