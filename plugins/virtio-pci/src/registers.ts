// Numbers of PCI configuration space (PCI Local Bus 3.0) and of virtio's registers (virtio 1.2, section 4.1).

/** Offsets of the type 0 header. */
export const header = {
  vendor: 0x00,
  device: 0x02,
  command: 0x04,
  status: 0x06,
  revision: 0x08,
  class: 0x09,
  headerType: 0x0e,
  bar: 0x10,
  subsystemVendor: 0x2c,
  subsystem: 0x2e,
  capabilities: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
  /** One past the header. */
  end: 0x40,
} as const;

export const command = { io: 1, memory: 2, busMaster: 4, serr: 0x100, intxDisable: 0x400 } as const;
export const pciStatus = { interrupt: 8, capabilityList: 0x10, w1c: 0xf900 } as const;

export const capabilityId = { powerManagement: 0x01, vendor: 0x09, express: 0x10, msix: 0x11 } as const;
/** Ids in the list that begins at 0x100 of a PCI Express function. */
export const extendedCapabilityId = { ats: 0x0f } as const;

/** Bits of MSI-X message control, and of a table entry's last word. */
export const msixControl = { size: 0x7ff, maskAll: 0x4000, enable: 0x8000 } as const;
export const msixEntryBytes = 16;

/** `cfg_type` of virtio's capabilities. */
export const structureType = { common: 1, notify: 2, isr: 3, device: 4, pciConfig: 5 } as const;

/** Where QEMU has them: legacy registers in BAR 0, MSI-X in BAR 1, the modern structures in the 64-bit BAR 4, a page each. */
export const legacyBar = 0;
export const msixBar = 1;
export const modernBar = 4;
export const modernBarBytes = 0x4000;
export const structureBytes = 0x1000;
export const structureAt = { common: 0x0000, isr: 0x1000, device: 0x2000, notify: 0x3000 } as const;
export const notifyMultiplier = 4;

/** Offsets within the common configuration structure. */
export const commonAt = {
  deviceFeatureSelect: 0x00,
  deviceFeature: 0x04,
  driverFeatureSelect: 0x08,
  driverFeature: 0x0c,
  configVector: 0x10,
  numQueues: 0x12,
  status: 0x14,
  configGeneration: 0x15,
  queueSelect: 0x16,
  queueSize: 0x18,
  queueVector: 0x1a,
  queueEnable: 0x1c,
  queueNotifyOff: 0x1e,
  queueDesc: 0x20,
  queueDriver: 0x28,
  queueDevice: 0x30,
  /** Of NOTIFICATION_DATA, which is not offered. */
  queueNotifyData: 0x38,
  queueReset: 0x3a,
  end: 0x3c,
} as const;

/** Offsets of the legacy registers (virtio 1.2, section 4.1.4.10). Vectors are there while MSI-X is enabled. */
export const legacyAt = {
  deviceFeature: 0x00,
  driverFeature: 0x04,
  queuePfn: 0x08,
  queueSize: 0x0c,
  queueSelect: 0x0e,
  queueNotify: 0x10,
  status: 0x12,
  isr: 0x13,
  configVector: 0x14,
  queueVector: 0x16,
  /** The device's configuration, without and with vectors before it. */
  config: 0x14,
  configBehindVectors: 0x18,
} as const;
/** Feature bits that modern registers do not offer: descriptors may lie as the driver likes (virtio 1.0 takes it for granted). */
export const legacyFeature = { ANY_LAYOUT: 1n << 27n } as const;
/** Bytes of a page of a legacy queue, and the alignment of its used ring. */
export const legacyPageBytes = 4096;

export const virtioVendor = 0x1af4;
/** Device ids from here on are modern: this plus the virtio device id. */
export const modernDeviceBase = 0x1040;
/** Device ids of legacy and transitional functions, by virtio device id. */
export const legacyDeviceIds: Readonly<Record<number, number>> = {
  1: 0x1000,
  2: 0x1001,
  3: 0x1003,
  4: 0x1005,
  5: 0x1002,
  8: 0x1004,
  9: 0x1009,
};
/** Class codes (base, sub, interface) by virtio device id; others are of no class. */
export const classCodes: Readonly<Record<number, number>> = { 1: 0x020000, 2: 0x010000, 3: 0x078000, 8: 0x010000 };
export const unclassified = 0x00ff00;
