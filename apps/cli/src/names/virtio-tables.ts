// Virtio's bits. Source: Virtual I/O Device (VIRTIO) 1.3, sections 2.1, 2.2, 4.1.4.5, 5 and 6; the specification's names
// without their prefixes (VIRTIO_F_, VIRTIO_NET_F_). Those that only legacy devices have are among them.
import type { BitTable, ValueTable } from "./bits.ts";

/** Section 2.1. */
export const deviceStatus: BitTable = {
  bits: { 0: "ACKNOWLEDGE", 1: "DRIVER", 2: "DRIVER_OK", 3: "FEATURES_OK", 6: "DEVICE_NEEDS_RESET", 7: "FAILED" },
};

/** Section 4.1.4.5. */
export const isrStatus: BitTable = { bits: { 0: "QUEUE", 1: "CONFIG" } };

export const noVector: ValueTable = { values: { 65535: "NO_VECTOR" } };

/** QEMU's own, in the subsection `virtio/device_endian`. */
export const deviceEndian: ValueTable = { values: { 0: "unknown", 1: "little", 2: "big" } };

/** Section 6, and 6.3 for what legacy devices have. */
const reserved: Readonly<Record<number, string>> = {
  24: "NOTIFY_ON_EMPTY",
  27: "ANY_LAYOUT",
  28: "INDIRECT_DESC",
  29: "EVENT_IDX",
  30: "BAD_FEATURE",
  32: "VERSION_1",
  33: "ACCESS_PLATFORM",
  34: "RING_PACKED",
  35: "IN_ORDER",
  36: "ORDER_PLATFORM",
  37: "SR_IOV",
  38: "NOTIFICATION_DATA",
  39: "NOTIF_CONFIG_DATA",
  40: "RING_RESET",
  41: "ADMIN_VQ",
};

/** Section 5, by the name of the device's section. */
const byDevice: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  "virtio-net": {
    0: "CSUM",
    1: "GUEST_CSUM",
    2: "CTRL_GUEST_OFFLOADS",
    3: "MTU",
    5: "MAC",
    6: "GSO",
    7: "GUEST_TSO4",
    8: "GUEST_TSO6",
    9: "GUEST_ECN",
    10: "GUEST_UFO",
    11: "HOST_TSO4",
    12: "HOST_TSO6",
    13: "HOST_ECN",
    14: "HOST_UFO",
    15: "MRG_RXBUF",
    16: "STATUS",
    17: "CTRL_VQ",
    18: "CTRL_RX",
    19: "CTRL_VLAN",
    20: "CTRL_RX_EXTRA",
    21: "GUEST_ANNOUNCE",
    22: "MQ",
    23: "CTRL_MAC_ADDR",
    50: "DEVICE_STATS",
    51: "HASH_TUNNEL",
    52: "VQ_NOTF_COAL",
    53: "NOTF_COAL",
    54: "GUEST_USO4",
    55: "GUEST_USO6",
    56: "HOST_USO",
    57: "HASH_REPORT",
    59: "GUEST_HDRLEN",
    60: "RSS",
    61: "RSC_EXT",
    62: "STANDBY",
    63: "SPEED_DUPLEX",
  },
  "virtio-blk": {
    0: "BARRIER",
    1: "SIZE_MAX",
    2: "SEG_MAX",
    4: "GEOMETRY",
    5: "RO",
    6: "BLK_SIZE",
    7: "SCSI",
    9: "FLUSH",
    10: "TOPOLOGY",
    11: "CONFIG_WCE",
    12: "MQ",
    13: "DISCARD",
    14: "WRITE_ZEROES",
    15: "LIFETIME",
    16: "SECURE_ERASE",
    17: "ZONED",
  },
  "virtio-console": { 0: "SIZE", 1: "MULTIPORT", 2: "EMERG_WRITE" },
  "virtio-rng": {},
  "virtio-balloon": {
    0: "MUST_TELL_HOST",
    1: "STATS_VQ",
    2: "DEFLATE_ON_OOM",
    3: "FREE_PAGE_HINT",
    4: "PAGE_POISON",
    5: "PAGE_REPORTING",
  },
  "virtio-scsi": { 0: "INOUT", 1: "HOTPLUG", 2: "CHANGE", 3: "T10_PI" },
};

/** The low, or with 32 the high half of a device's feature bits, or all of them. */
export function featureTable(device: string, fromBit: 0 | 32 = 0): BitTable | undefined {
  const own = byDevice[device];
  if (own === undefined) return undefined;
  const all = Object.entries({ ...reserved, ...own }).map(([bit, name]) => [Number(bit) - fromBit, name] as const);
  return { bits: Object.fromEntries(all.filter(([bit]) => bit >= 0)) };
}

/** Section 5.1.4. */
export const netStatus: BitTable = { bits: { 0: "LINK_UP", 1: "ANNOUNCE" } };

/** Section 5.1.6.5.6: the same numbers as the features. */
export const netOffloads: BitTable = {
  bits: {
    1: "GUEST_CSUM",
    7: "GUEST_TSO4",
    8: "GUEST_TSO6",
    9: "GUEST_ECN",
    10: "GUEST_UFO",
    54: "GUEST_USO4",
    55: "GUEST_USO6",
  },
};

/** Section 5.1.6.4.3. */
export const netHashTypes: BitTable = {
  bits: {
    0: "IPv4",
    1: "TCPv4",
    2: "UDPv4",
    3: "IPv6",
    4: "TCPv6",
    5: "UDPv6",
    6: "IP_EX",
    7: "TCP_EX",
    8: "UDP_EX",
  },
};
