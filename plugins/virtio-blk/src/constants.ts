// Numbers of the virtio block device (virtio 1.2, section 5.2).

/** The section, and the kind of virtio device that it is of. */
export const section = { name: "virtio-blk", version: 2, minimumVersion: 2, deviceId: 2 } as const;

/** Feature bits as masks. */
export const blkFeature = {
  SEG_MAX: 1n << 2n,
  GEOMETRY: 1n << 4n,
  RO: 1n << 5n,
  BLK_SIZE: 1n << 6n,
  FLUSH: 1n << 9n,
  TOPOLOGY: 1n << 10n,
  CONFIG_WCE: 1n << 11n,
  MQ: 1n << 12n,
  DISCARD: 1n << 13n,
  WRITE_ZEROES: 1n << 14n,
} as const;

/** Types of requests. */
export const requestType = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, DISCARD: 11, WRITE_ZEROES: 13 } as const;

/** What the last byte of a request says. */
export const requestStatus = { OK: 0, IOERR: 1, UNSUPP: 2 } as const;

/** A request counts in sectors of this size, whatever the block size. Bytes. */
export const sectorBytes = 512;
/** le32 type, le32 reserved, le64 sector. Bytes. */
export const requestHeaderBytes = 16;
/** The answer to GET_ID, padded with zeros. Bytes. */
export const serialBytes = 20;
/** le64 sector, le32 sectors, le32 flags: what DISCARD and WRITE_ZEROES are about. Bytes. */
export const rangeBytes = 16;
/** Bit 0 of a range's flags: the back end may give its room up (WRITE_ZEROES only). */
export const unmapFlag = 1;
/** Sectors of one range at most, as QEMU has it: 2 GiB less a sector's worth of room. */
export const maxRangeSectors = 0x3f_ffff;
