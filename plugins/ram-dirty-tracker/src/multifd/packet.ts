// The header of a multifd packet of pages: always the same length for a page size, however few pages there are.
// Source: QEMU's MultiFDPacket_t; wire reference 7.2.
import { type Cursor, MigrationError, Writer } from "@godwit/core";
import { decodeIdstr } from "../idstr.ts";
import type { PageCompression } from "../stream-codec.ts";
import { multifdMagic, multifdVersion } from "./hello.ts";

export const packetFlag = {
  sync: 0x01,
  /** Bits 1 to 5: how the pages are compressed. */
  compression: 0x3e,
  /** The state of a device, by VFIO: another packet altogether. */
  deviceState: 0x40,
} as const;

export const compressionFlag: Readonly<Record<PageCompression["method"], number>> = {
  none: 0x00,
  zlib: 0x02,
  zstd: 0x04,
};

const namedCompressions: ReadonlyMap<number, string> = new Map([
  [0x00, "none"],
  [0x02, "zlib"],
  [0x04, "zstd"],
  [0x08, "qpl"],
  [0x10, "uadk"],
  [0x20, "qatzip"],
]);

export function compressionName(flags: number): string {
  const method = flags & packetFlag.compression;
  return namedCompressions.get(method) ?? `0x${method.toString(16)}`;
}

/** The pages of a full packet take so much. Bytes. */
const packetPagesBytes = 512 * 1024;

const idstrBytes = 256;
const reservedBytes = 28;
const fixedBytes = 320;

/** Pages that a packet can hold. */
export function packetPages(pageBytes: number): number {
  return packetPagesBytes / pageBytes;
}

/** Bytes of a packet's header, its offsets included. */
export function packetHeaderBytes(pageBytes: number): number {
  return fixedBytes + 8 * packetPages(pageBytes);
}

/** The header, complete: what it says can be written again to the same bytes. */
export interface MultifdPacket {
  readonly flags: number;
  /** Pages that the sender's packets can hold; QEMU 9.0 and later write 0 in a packet that only synchronises. */
  readonly pagesAlloc: number;
  readonly normalPages: number;
  readonly zeroPages: number;
  /**
   * Bytes of the pages' data. Where there are no normal pages nothing follows, whatever this says: QEMU 7.2 leaves the
   * number of an earlier packet here.
   */
  readonly nextPacketBytes: number;
  readonly packetNumber: bigint;
  /** The RAM block's name, as far as its NUL; empty where no packet had a page yet. */
  readonly idstr: string;
  /** 256 bytes. */
  readonly idstrField: Uint8Array;
  /** 28 bytes. */
  readonly reserved: Uint8Array;
  /** Of normal pages, then of zero pages; what follows them is left over from earlier packets (7.2), or zero. */
  readonly offsets: BigUint64Array;
}

export interface PacketInit {
  readonly flags: number;
  readonly pagesAlloc: number;
  readonly packetNumber: bigint;
  readonly idstr: string;
  readonly normalOffsets: readonly number[];
  readonly zeroOffsets: readonly number[];
  readonly nextPacketBytes: number;
}

/** The packet of these pages; slots behind them are zero. */
export function multifdPacket(init: PacketInit, pageBytes: number): MultifdPacket {
  const { normalOffsets, zeroOffsets, idstr, ...rest } = init;
  const offsets = new BigUint64Array(packetPages(pageBytes));
  for (const [index, offset] of [...normalOffsets, ...zeroOffsets].entries()) offsets[index] = BigInt(offset);
  const name = new Writer(idstrBytes);
  name.str8(idstr);
  const idstrField = new Uint8Array(idstrBytes);
  idstrField.set(name.written().subarray(1, idstrBytes));
  const [normalPages, zeroPages] = [normalOffsets.length, zeroOffsets.length];
  return { ...rest, idstr, idstrField, normalPages, zeroPages, offsets, reserved: new Uint8Array(reservedBytes) };
}

export function encodePacket(packet: MultifdPacket): Uint8Array {
  const out = new Writer(fixedBytes + 8 * packet.offsets.length);
  out.u32(multifdMagic);
  out.u32(multifdVersion);
  out.u32(packet.flags);
  out.u32(packet.pagesAlloc);
  out.u32(packet.normalPages);
  out.u32(packet.nextPacketBytes);
  out.u64(packet.packetNumber);
  out.u32(packet.zeroPages);
  out.raw(packet.reserved);
  out.raw(packet.idstrField);
  for (const offset of packet.offsets) out.u64(offset);
  return out.flush();
}

/** Reads a header that is there whole. `MULTIFD_PACKET`, with the field. Block and offsets are the caller's to check. */
export function decodePacket(cursor: Cursor, pageBytes: number): MultifdPacket {
  const { offset } = cursor;
  const capacity = packetPages(pageBytes);
  const check = (field: string, at: number, good: boolean, expected: string, found: number): void => {
    if (!good) throw packetError(field, offset + at, "a packet cannot be so", expected, `0x${found.toString(16)}`);
  };
  const magic = cursor.u32();
  check("magic", 0, magic === multifdMagic, `0x${multifdMagic.toString(16)}`, magic);
  const version = cursor.u32();
  check("version", 4, version === multifdVersion, String(multifdVersion), version);
  const flags = cursor.u32();
  check("flags", 8, (flags & packetFlag.deviceState) === 0, "a packet of pages, not of a device's state", flags);
  check("flags", 8, (flags & ~(packetFlag.sync | packetFlag.compression)) === 0, "SYNC and a compression", flags);
  const pagesAlloc = cursor.u32();
  check("pages_alloc", 12, pagesAlloc <= capacity, `at most ${capacity}`, pagesAlloc);
  const normalPages = cursor.u32();
  check("normal_pages", 16, normalPages <= pagesAlloc, `at most ${pagesAlloc}`, normalPages);
  const nextPacketBytes = cursor.u32();
  const packetNumber = cursor.u64();
  const zeroPages = cursor.u32();
  check("zero_pages", 32, zeroPages <= pagesAlloc - normalPages, `at most ${pagesAlloc - normalPages}`, zeroPages);
  const reserved = cursor.take(reservedBytes);
  const idstrField = cursor.take(idstrBytes);
  const nul = idstrField.indexOf(0);
  if (nul < 0) throw packetError("ramblock", offset + 64, "a block's name has no end", "a NUL", "256 bytes without");
  const offsets = new BigUint64Array(capacity);
  for (let i = 0; i < capacity; i++) offsets[i] = cursor.u64();
  cursor.fields += 9 + capacity;
  const idstr = decodeIdstr(idstrField, 0, nul);
  return {
    flags,
    pagesAlloc,
    normalPages,
    zeroPages,
    nextPacketBytes,
    packetNumber,
    idstr,
    idstrField,
    reserved,
    offsets,
  };
}

export function packetError(
  path: string,
  offset: number,
  detail: string,
  expected: string,
  found: string,
): MigrationError {
  return new MigrationError("MULTIFD_PACKET", detail, { path, offset, expected, found });
}
