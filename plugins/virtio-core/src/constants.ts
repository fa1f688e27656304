// Feature bits, status bits and limits of virtio 1.x that transports and devices share.

/** Feature bits as masks (virtio 1.2, section 6). */
export const feature = {
  RING_INDIRECT_DESC: 1n << 28n,
  RING_EVENT_IDX: 1n << 29n,
  VERSION_1: 1n << 32n,
  ACCESS_PLATFORM: 1n << 33n,
  RING_PACKED: 1n << 34n,
  IN_ORDER: 1n << 35n,
  ORDER_PLATFORM: 1n << 36n,
  RING_RESET: 1n << 40n,
} as const;

/** Bits of the device status field (virtio 1.2, section 2.1). */
export const status = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 64,
  FAILED: 128,
} as const;

/** Queues that the stream has room for, whatever a device uses (QEMU: VIRTIO_QUEUE_MAX). */
export const maxQueues = 1024;
/** Descriptors of one chain at most (QEMU: VIRTQUEUE_MAX_SIZE). */
export const maxChain = 1024;
/** The largest ring (virtio 1.2, section 2.7). */
export const maxRing = 32768;
/** A vector number that means none (VIRTIO_MSI_NO_VECTOR). */
export const noVector = 0xffff;

/** Values of `virtio/device_endian`. */
export const endian = { unknown: 0, little: 1, big: 2 } as const;

/** The bits in hexadecimal, as QEMU's messages have them. */
export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** Where a legacy ring's used part begins is a multiple of this, but for transports whose driver says. Bytes. */
export const legacyAlignBytes = 4096;
