// What registers need of a queue beyond what a device model sees.
import type { TransportedDevice, Virtqueue } from "@godwit/virtio-core";

/** A queue of the virtio core. */
interface DrivenQueue extends Virtqueue {
  /** Address of the descriptor table; 0 while the queue is not set up. */
  readonly desc: bigint;
  /** As after a reset of the device. */
  reset(): void;
}

/** Undefined: the device has no such queue. */
export function drivenQueue(device: TransportedDevice, index: number): DrivenQueue | undefined {
  return device.queues[index] as DrivenQueue | undefined;
}
