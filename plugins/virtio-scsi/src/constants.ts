// Numbers of virtio 1.2, section 5.6 (SCSI host device), and of SPC-4 and SBC-3.

/** The section "virtio-scsi" (QEMU: TYPE_VIRTIO_SCSI). */
export const section = { name: "virtio-scsi", version: 1, minimumVersion: 1, deviceId: 8 } as const;

export const scsiFeature = {
  /** Requests with data both ways. */
  INOUT: 1n << 0n,
  HOTPLUG: 1n << 1n,
  /** Changes of a disk's parameters are announced. */
  CHANGE: 1n << 2n,
  T10_PI: 1n << 3n,
} as const;

/** Behind these two queues come the request queues. */
export const controlQueue = 0;
export const eventQueue = 1;
export const fixedQueues = 2;

/** `sense_size` and `cdb_size` as they are after a reset. Bytes. */
export const defaultSenseBytes = 96;
export const defaultCdbBytes = 32;

/** More data than this in one request is refused. Bytes. */
export const maxRequestBytes = 64 * 1024 * 1024;

export const requestHeaderBytes = 19;
export const responseHeaderBytes = 12;

export const response = { OK: 0, OVERRUN: 1, ABORTED: 2, BAD_TARGET: 3, RESET: 4, BUSY: 5, FAILURE: 9 } as const;

export const controlType = { TMF: 0, AN_QUERY: 1, AN_SUBSCRIBE: 2 } as const;
export const tmf = {
  ABORT_TASK: 0,
  ABORT_TASK_SET: 1,
  CLEAR_ACA: 2,
  CLEAR_TASK_SET: 3,
  I_T_NEXUS_RESET: 4,
  LOGICAL_UNIT_RESET: 5,
  QUERY_TASK: 6,
  QUERY_TASK_SET: 7,
} as const;
/** Answers to task management functions. */
export const tmfResponse = { COMPLETE: 0, SUCCEEDED: 10, REJECTED: 11, INCORRECT_LUN: 12 } as const;

export const event = {
  NO_EVENT: 0,
  TRANSPORT_RESET: 1,
  ASYNC_NOTIFY: 2,
  PARAM_CHANGE: 3,
  MISSED: 0x8000_0000,
} as const;

export const scsiStatus = { GOOD: 0, CHECK_CONDITION: 2 } as const;

export const opcode = {
  TEST_UNIT_READY: 0x00,
  REQUEST_SENSE: 0x03,
  READ_6: 0x08,
  WRITE_6: 0x0a,
  INQUIRY: 0x12,
  MODE_SENSE_6: 0x1a,
  START_STOP: 0x1b,
  READ_CAPACITY_10: 0x25,
  READ_10: 0x28,
  WRITE_10: 0x2a,
  WRITE_VERIFY_10: 0x2e,
  SYNCHRONIZE_CACHE_10: 0x35,
  MODE_SENSE_10: 0x5a,
  READ_16: 0x88,
  WRITE_16: 0x8a,
  WRITE_VERIFY_16: 0x8e,
  SYNCHRONIZE_CACHE_16: 0x91,
  SERVICE_ACTION_IN_16: 0x9e,
  REPORT_LUNS: 0xa0,
  READ_12: 0xa8,
  WRITE_12: 0xaa,
  WRITE_VERIFY_12: 0xae,
} as const;

export const sectorBytes = 512;
