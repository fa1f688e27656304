// Numbers of z/Architecture's channel subsystem (Principles of Operation, chapters 13 to 16) and of virtio-ccw
// (virtio 1.2, section 4.3).

/** Control-unit type of every virtio device; its model is the virtio device id. */
export const virtioControlUnit = 0x3832;

/** Channel commands: the architecture's, then virtio's. */
export const command = {
  noOperation: 0x03,
  sense: 0x04,
  transferInChannel: 0x08,
  senseId: 0xe4,
  writeFeatures: 0x11,
  readFeatures: 0x12,
  setQueue: 0x13,
  writeConfig: 0x21,
  readConfig: 0x22,
  writeStatus: 0x31,
  readQueueConfig: 0x32,
  reset: 0x33,
  setIndicators: 0x43,
  setConfigIndicators: 0x53,
  readStatus: 0x72,
  setAdapterIndicators: 0x73,
  setRevision: 0x83,
} as const;

/** Flags of a channel-command word. */
export const ccwFlag = {
  chainData: 0x80,
  chainCommand: 0x40,
  suppressLength: 0x20,
  skip: 0x10,
  programInterrupt: 0x08,
  indirect: 0x04,
  suspend: 0x02,
  modifiedIndirect: 0x01,
} as const;

/** ctrl0 of an operation-request block. */
export const orbFlag = {
  suspend: 0x0800,
  format1: 0x0080,
  suppressSuspended: 0x0008,
  transport: 0x0004,
  indirect64: 0x0002,
  indirect2k: 0x0001,
} as const;
/** ctrl1: bits that a command-mode program leaves 0, but for the length-suppression mode and the extension. */
export const orbReserved1 = 0x3e;

/** flags of a path-management-control word. */
export const pmcwFlag = {
  interruptionSubclass: 0x3800,
  enabled: 0x0080,
  limitMode: 0x0060,
  timing: 0x0002,
  deviceValid: 0x0001,
  reserved: 0xc700,
} as const;
/** chars of a path-management-control word. */
export const pmcwChars = { concurrentSense: 0x1, programmable: 0x7 } as const;

/** flags of a subchannel-status word. */
export const scswFlag = {
  key: 0xf000,
  suspendControl: 0x0800,

  format1: 0x0080,
  extended: 0x0002,
} as const;

/** ctrl of a subchannel-status word: what is asked for, how far it is, what is to be told. */
export const scswControl = {
  functions: 0x7000,
  start: 0x4000,
  halt: 0x2000,
  clear: 0x1000,
  suspended: 0x0020,
  status: 0x001f,
  alert: 0x0010,
  intermediate: 0x0008,
  primary: 0x0004,
  secondary: 0x0002,
  pending: 0x0001,
} as const;

export const deviceStatus = { channelEnd: 0x08, deviceEnd: 0x04, unitCheck: 0x02 } as const;
export const channelStatus = { programInterrupt: 0x80, incorrectLength: 0x40, programCheck: 0x20 } as const;
/** First byte of sense data. */
export const sense = { commandReject: 0x80 } as const;

/** Bytes of the structures in guest memory. */
export const schibBytes = 52;
export const irbBytes = 96;
export const senseBytes = 32;

/** The driver has set no revision of virtio-ccw. */
export const noRevision = -1;
/** Alignment of a legacy ring's used part, bytes. */
export const ringAlign = 4096;
/** Bytes of the doubleword of indicators whose interruption is the subchannel's own. */
export const classicIndicatorBytes = 8;
/** What QEMU has as config_vector once the driver has said where changes of configuration are indicated. */
export const configVector = 1024;
