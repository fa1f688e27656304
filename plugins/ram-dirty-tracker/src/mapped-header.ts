// Where mapped-ram has a block's bitmap and pages. Source: QEMU's MappedRamHeader; wire reference 8.
import type { Cursor, Writer } from "@godwit/core";

export interface MappedHeader {
  readonly version: number;
  /** Bytes of a target page. */
  readonly pageBytes: number;
  /** File offset of the bitmap, one bit a page; 0 for a block that has none (shared, with `x-ignore-shared`). */
  readonly bitmapOffset: number;
  /** File offset of the pages; 0 likewise. */
  readonly pagesOffset: number;
}

export const mappedVersion = 1;
export const mappedHeaderBytes = 28;
/** Pages begin at a multiple of this, so that direct I/O can be used. */
export const mappedAlignmentBytes = 1024 * 1024;

/** One bit a page, in whole longs of a 64-bit host. */
export function mappedBitmapBytes(pages: number): number {
  return Math.ceil(pages / 64) * 8;
}

/** The header that stands at file offset `position`, for a block of `length` bytes. */
export function mappedHeaderAt(position: number, length: number, pageBytes: number): MappedHeader {
  const bitmapOffset = position + mappedHeaderBytes;
  const bitmapEnd = bitmapOffset + mappedBitmapBytes(length / pageBytes);
  const pagesOffset = Math.ceil(bitmapEnd / mappedAlignmentBytes) * mappedAlignmentBytes;
  return { version: mappedVersion, pageBytes, bitmapOffset, pagesOffset };
}

/** The header of a block whose memory stays where it is. */
export function ignoredMappedHeader(pageBytes: number): MappedHeader {
  return { version: mappedVersion, pageBytes, bitmapOffset: 0, pagesOffset: 0 };
}

export function writeMappedHeader(out: Writer, header: MappedHeader): void {
  out.u32(header.version);
  for (const value of [header.pageBytes, header.bitmapOffset, header.pagesOffset]) out.u64(BigInt(value));
}

/** 28 bytes, which are there. Offsets beyond 2**53 lose their low bits, and fit no file either way. */
export function readMappedHeader(cursor: Cursor): MappedHeader {
  const version = cursor.u32();
  const [pageBytes, bitmapOffset, pagesOffset] = [cursor.u64(), cursor.u64(), cursor.u64()].map(Number) as [
    number,
    number,
    number,
  ];
  cursor.fields += 4;
  return { version, pageBytes, bitmapOffset, pagesOffset };
}
