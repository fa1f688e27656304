// The error codes of this package. What is the same for every device (DEVICE_CHECK, VIRTQUEUE_INDEX ...) is core's.

/** Stable codes and what they mean. */
export const virtioErrorCodes = {
  VIRTIO_TOO_EARLY: "a device or a transport used, while it was loading, what only the subsections bring",
} as const;

export type VirtioErrorCode = keyof typeof virtioErrorCodes;
