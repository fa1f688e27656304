// @godwit/virtio-core: the state of a virtio device, its rings, and the contracts of devices and transports.
export { isPageAbsent } from "./absent.ts";
export {
  type AnyVirtioState,
  brokenState,
  checkFeatures,
  checkQueueFields,
  checkQueues,
  isPacked,
  negotiated,
  type QueueInconsistency,
  ringOf,
  ringRules,
} from "./check.ts";
export type * from "./class.ts";
export * from "./codes.ts";
export * from "./constants.ts";
export type * from "./dma.ts";
export * from "./element.ts";
export { elementBlob, elementBlobBytes, packedElementBlob } from "./element-blob.ts";
export { decodePrefix, inferVirtio, misread, type VirtioReading, type VirtioRecord } from "./infer.ts";
export type * from "./model.ts";
export * from "./no-data.ts";
export {
  type EventSuppression,
  eventFlag,
  isAvailable,
  type PackedDescriptor,
  type PackedPosition,
  type PackedRingContent,
  packedFlag,
  readPackedRing,
} from "./packed-ring.ts";
export {
  deviceAddress,
  legacyRing,
  type RingAddresses,
  type RingContent,
  type RingProgress,
  type RingRules,
  readRing,
  ringBytes,
  ringProgress,
} from "./ring.ts";
export * from "./section.ts";
export type { PackedVirtqueueState, VirtioSubsections, VirtqueueAddresses } from "./subsections.ts";
export type * from "./transport.ts";
export { type VirtioDeviceInit, virtioDevice, type WiredDevice } from "./virtio-device.ts";
export type { Virtqueue } from "./virtqueue.ts";
