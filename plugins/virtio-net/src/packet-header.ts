// The header before each frame (virtio 1.2, section 5.1.6): what is still to be done for the frame, and by whom.
import { netFeature } from "./constants.ts";

/** What a frame needs before it is on a wire. Offsets count from the frame's first byte. */
export interface PacketHeader {
  /** Bit 0 (NEEDS_CSUM): the checksum at `csumStart + csumOffset` is to be computed; bit 1 (DATA_VALID): checked. */
  readonly flags: number;
  /** 0 none, 1 TCP over IPv4, 3 UDP, 4 TCP over IPv6; bit 7 (ECN) beside it. */
  readonly gsoType: number;
  /** Bytes of all headers. */
  readonly headerLength: number;
  /** Bytes of each segment behind them. */
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

const flag = { needsCsum: 1, dataValid: 2 } as const;
const gso = { none: 0, tcp4: 1, udp: 3, tcp6: 4, ecn: 0x80 } as const;

export const plainHeader: PacketHeader = {
  flags: 0,
  gsoType: 0,
  headerLength: 0,
  gsoSize: 0,
  csumStart: 0,
  csumOffset: 0,
};

const numBuffersAt = 10;

export function parseHeader(bytes: Uint8Array, littleEndian: boolean): PacketHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (offset: number) => view.getUint16(offset, littleEndian);
  return {
    flags: view.getUint8(0),
    gsoType: view.getUint8(1),
    headerLength: u16(2),
    gsoSize: u16(4),
    csumStart: u16(6),
    csumOffset: u16(8),
  };
}

/** 12 bytes with the number of buffers that the frame fills, or 10 without. */
export function headerBytes(header: PacketHeader, length: 10 | 12, buffers: number, littleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes[0] = header.flags;
  bytes[1] = header.gsoType;
  view.setUint16(2, header.headerLength, littleEndian);
  view.setUint16(4, header.gsoSize, littleEndian);
  view.setUint16(6, header.csumStart, littleEndian);
  view.setUint16(8, header.csumOffset, littleEndian);
  if (length === 12) view.setUint16(numBuffersAt, buffers, littleEndian);
  return bytes;
}

/** All that a driver can take off a device's hands. */
export const guestOffloads: bigint =
  netFeature.GUEST_CSUM | netFeature.GUEST_TSO4 | netFeature.GUEST_TSO6 | netFeature.GUEST_ECN | netFeature.GUEST_UFO;

/** What the driver must have enabled to be given such a frame; undefined: no driver can take it. */
export function offloadsNeeded({ flags, gsoType }: PacketHeader): bigint | undefined {
  const kinds: Readonly<Record<number, bigint>> = {
    [gso.none]: 0n,
    [gso.tcp4]: netFeature.GUEST_TSO4,
    [gso.udp]: netFeature.GUEST_UFO,
    [gso.tcp6]: netFeature.GUEST_TSO6,
  };
  const kind = kinds[gsoType & ~gso.ecn];
  if (kind === undefined) return undefined;
  const ecn = (gsoType & gso.ecn) === 0 ? 0n : netFeature.GUEST_ECN;
  return kind | ecn | ((flags & flag.needsCsum) === 0 ? 0n : netFeature.GUEST_CSUM);
}

/** The header as the driver may see it: that a checksum was checked is for drivers that asked for it. */
export function visibleHeader(header: PacketHeader, enabled: bigint): PacketHeader {
  if ((enabled & netFeature.GUEST_CSUM) !== 0n) return header;
  return { ...header, flags: header.flags & ~flag.dataValid };
}
