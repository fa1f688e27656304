// Numbers of the virtio balloon device (virtio 1.2, section 5.5).

/** The section, and the kind of virtio device that it is of. */
export const section = { name: "virtio-balloon", version: 1, minimumVersion: 1, deviceId: 5 } as const;

/** Feature bits as masks. */
export const balloonFeature = {
  MUST_TELL_HOST: 1n << 0n,
  STATS_VQ: 1n << 1n,
  DEFLATE_ON_OOM: 1n << 2n,
  FREE_PAGE_HINT: 1n << 3n,
  PAGE_POISON: 1n << 4n,
  REPORTING: 1n << 5n,
} as const;

/** Pages are of this size, whatever the guest's. Bytes. */
export const pageBytes = 4096;

/** Entries of QEMU's rings. */
export const ringSizes = { memory: 128, hints: 64, reports: 32 } as const;
/** Queues that every device has; hints and reports stand behind them, where they are offered. */
export const queueIndex = { inflate: 0, deflate: 1, stats: 2 } as const;

/** What `free_page_hint_cmd_id` in configuration space says beside a command's own id. */
export const hintCommand = { stop: 0, done: 1, first: 0x8000_0000 } as const;

/** `free_page_hint_status` on the wire. */
export const hintStatus = { stop: 0, requested: 1, start: 2, done: 3 } as const;

/** Tags of memory statistics, by name (section 5.5.6.3). */
export const statisticTags = {
  swapIn: 0,
  swapOut: 1,
  majorFaults: 2,
  minorFaults: 3,
  freeMemory: 4,
  totalMemory: 5,
  availableMemory: 6,
  diskCaches: 7,
  hugePagesAllocated: 8,
  hugePagesFailed: 9,
} as const;
