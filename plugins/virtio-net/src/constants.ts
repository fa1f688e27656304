// Numbers of the virtio network device (virtio 1.2, section 5.1) and of QEMU's limits beside it.

/** The section, and the kind of virtio device that it is of. */
export const section = { name: "virtio-net", version: 11, minimumVersion: 11, deviceId: 1 } as const;

/** Feature bits as masks. */
export const netFeature = {
  CSUM: 1n << 0n,
  GUEST_CSUM: 1n << 1n,
  CTRL_GUEST_OFFLOADS: 1n << 2n,
  MTU: 1n << 3n,
  MAC: 1n << 5n,
  /** Of legacy drivers: all of HOST_TSO4, HOST_TSO6, HOST_ECN and HOST_UFO that are offered beside it. */
  GSO: 1n << 6n,
  GUEST_TSO4: 1n << 7n,
  GUEST_TSO6: 1n << 8n,
  GUEST_ECN: 1n << 9n,
  GUEST_UFO: 1n << 10n,
  HOST_TSO4: 1n << 11n,
  HOST_TSO6: 1n << 12n,
  HOST_ECN: 1n << 13n,
  HOST_UFO: 1n << 14n,
  MRG_RXBUF: 1n << 15n,
  STATUS: 1n << 16n,
  CTRL_VQ: 1n << 17n,
  CTRL_RX: 1n << 18n,
  CTRL_VLAN: 1n << 19n,
  CTRL_RX_EXTRA: 1n << 20n,
  GUEST_ANNOUNCE: 1n << 21n,
  MQ: 1n << 22n,
  CTRL_MAC_ADDR: 1n << 23n,
  HASH_REPORT: 1n << 57n,
  RSS: 1n << 60n,
} as const;

/** Bit 0 of the configuration's status: the link is up (VIRTIO_NET_S_LINK_UP). */
export const linkUp = 1;
/** Bit 1: the driver shall announce where it is (VIRTIO_NET_S_ANNOUNCE). */
export const announceBit = 2;

/** Classes of control commands, and their commands. */
export const controlClass = { RX: 0, MAC: 1, VLAN: 2, ANNOUNCE: 3, MQ: 4, GUEST_OFFLOADS: 5 } as const;
export const rxCommand = { PROMISC: 0, ALLMULTI: 1, ALLUNI: 2, NOMULTI: 3, NOUNI: 4, NOBCAST: 5 } as const;
export const macCommand = { TABLE_SET: 0, ADDR_SET: 1 } as const;
export const vlanCommand = { ADD: 0, DEL: 1 } as const;
export const announceCommand = { ACK: 0 } as const;
export const mqCommand = { VQ_PAIRS_SET: 0, RSS_CONFIG: 1 } as const;
export const offloadsCommand = { SET: 0 } as const;
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

/** Receive-side scaling: bytes of the key, entries of the indirection table, and the kinds of packets that are hashed. */
export const rssKeyBytes = 40;
export const rssTableEntries = 128;
export const rssHashTypes = 0x1ff;
