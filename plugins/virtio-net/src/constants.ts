// Numbers of the virtio network device (virtio 1.2, section 5.1) and of QEMU's limits beside it.

/** The section, and the kind of virtio device that it is of. */
export const section = { name: "virtio-net", version: 11, minimumVersion: 11, deviceId: 1 } as const;

/** Feature bits as masks. */
export const netFeature = {
  CTRL_GUEST_OFFLOADS: 1n << 2n,
  MTU: 1n << 3n,
  MAC: 1n << 5n,
  MRG_RXBUF: 1n << 15n,
  STATUS: 1n << 16n,
  CTRL_VQ: 1n << 17n,
  CTRL_RX: 1n << 18n,
  CTRL_VLAN: 1n << 19n,
  CTRL_RX_EXTRA: 1n << 20n,
  MQ: 1n << 22n,
  CTRL_MAC_ADDR: 1n << 23n,
  HASH_REPORT: 1n << 57n,
} as const;

/** Bit 0 of the configuration's status: the link is up (VIRTIO_NET_S_LINK_UP). */
export const linkUp = 1;

/** Classes of control commands, and their commands. */
export const controlClass = { RX: 0, MAC: 1, VLAN: 2, MQ: 4 } as const;
export const rxCommand = { PROMISC: 0, ALLMULTI: 1, ALLUNI: 2, NOMULTI: 3, NOUNI: 4, NOBCAST: 5 } as const;
export const macCommand = { TABLE_SET: 0, ADDR_SET: 1 } as const;
export const vlanCommand = { ADD: 0, DEL: 1 } as const;
export const mqCommand = { VQ_PAIRS_SET: 0 } as const;
/** What the device answers. */
export const controlAck = { OK: 0, ERR: 1 } as const;

/** Bytes of a MAC address. */
export const macBytes = 6;
/** Addresses that the receive filter holds (QEMU: MAC_TABLE_ENTRIES). */
export const macTableEntries = 64;
/** VLAN ids are 12 bits wide; their filter is a bitmap (QEMU: MAX_VLAN). */
export const vlanIds = 4096;
export const vlanBytes = vlanIds / 8;
/** Queue pairs at most: with the control queue, as many queues as the stream has room for (QEMU: VIRTIO_QUEUE_MAX). */
export const maxQueuePairs = 511;
