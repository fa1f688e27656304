// The checkpoint file: what stands where. Its first and last octets are written and read here.
import { crc32 } from "node:zlib";
import { checkpointError } from "./errors.ts";

/**
 * A checkpoint file holds recordings of streams. It is written once, under another name, and renamed when it is whole;
 * a further recording makes a new file of the old one's chunks and its own. Nothing in it is ever changed. Integers are
 * big-endian.
 *
 * | octets | header                                                               |
 * | ------ | -------------------------------------------------------------------- |
 * | 0-7    | magic: 0x89 `GODWIT` 0x0a                                             |
 * | 8-9    | version: 1                                                            |
 * | 10-11  | 0                                                                     |
 * | 12-15  | CRC-32 of octets 0 to 11                                              |
 *
 * The chunks follow, one behind the other, then the index, then the trailer, with which the file ends.
 *
 * | octets | trailer                                                              |
 * | ------ | -------------------------------------------------------------------- |
 * | 0-7    | offset of the index in the file                                       |
 * | 8-11   | bytes of the index as it stands in the file                           |
 * | 12-15  | bytes of the index itself                                             |
 * | 16     | form of the index                                                     |
 * | 17-19  | 0                                                                     |
 * | 20-23  | CRC-32 of the index as it stands in the file                          |
 * | 24-27  | CRC-32 of octets 0 to 23                                              |
 * | 28-31  | `GWCP`                                                                |
 *
 * A form is 0 as it is, 1 one zstd frame, 2 raw deflate. Of a page, only its first occurrence in the file is kept, whichever
 * recording it was in, as far as the memory for finding it again went: pages are numbered from 0, in the order of the file.
 * The index is a msgpack map:
 *
 * | key        | value                                                                                                 |
 * | ---------- | ----------------------------------------------------------------------------------------------------- |
 * | chunks     | bin, 14 octets a chunk: kind (1), form (1), bytes in the file (4), bytes (4), CRC-32 as in the file (4) |
 * | recordings | array of maps (`RecordingEntry`), in the order of their chunks                                          |
 *
 * | kind | a chunk of it holds                                                                                         |
 * | ---- | ----------------------------------------------------------------------------------------------------------- |
 * | 1    | pages, each of its recording's `pageBytes`                                                                    |
 * | 2    | 16 octets a page of its recording's chunks of kind 1, in their order: the first of the page's SHA-256         |
 * | 3    | everything of the stream that is not a page: framing, records' words, devices, vmdesc                         |
 * | 4    | the order: pairs of LEB128 numbers, octets of kind 3 that come next, then the page behind them: as the zigzag |
 * |      | difference of its number to the one behind the pair before (0 before the first); a pair is in one chunk whole |
 *
 * What is left of kind 3 behind the last pair ends the stream.
 */
const checkpointVersion = 1;

const magic: Uint8Array = Uint8Array.of(0x89, 0x47, 0x4f, 0x44, 0x57, 0x49, 0x54, 0x0a);
export const headerBytes = 16;
export const trailerBytes = 32;
const endMark = 0x47574350;

export const chunkKind = { pages: 1, hashes: 2, rest: 3, order: 4 } as const;
export type ChunkKind = (typeof chunkKind)[keyof typeof chunkKind];

/** The most that a chunk or an index may claim to be: what is read is bounded before it is allocated. Bytes. */
export const chunkLimitBytes = 1 << 20;
const indexLimitBytes = 1 << 28;

/** Bytes of a page's hash that are kept: two pages of one hash are beyond what anybody can find. */
export const hashBytes = 16;

export interface Trailer {
  readonly indexOffset: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly form: number;
  readonly crc: number;
}

export function encodeHeader(): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  bytes.set(magic);
  const view = new DataView(bytes.buffer);
  view.setUint16(8, checkpointVersion);
  view.setUint32(12, crc32(bytes.subarray(0, 12)));
  return bytes;
}

/** Whether a file that begins so is meant to be a checkpoint file. */
export function isCheckpoint(first: Uint8Array): boolean {
  return first.length >= magic.length && magic.every((byte, i) => first[i] === byte);
}

/** `CHECKPOINT_MAGIC`, `CHECKPOINT_TRUNCATED`, `CHECKPOINT_CHECKSUM`, `CHECKPOINT_VERSION`. */
export function checkHeader(file: string, bytes: Uint8Array): void {
  const wrong = magic.findIndex((byte, i) => i < bytes.length && bytes[i] !== byte);
  if (wrong >= 0) {
    throw checkpointError("CHECKPOINT_MAGIC", "this is not a checkpoint file", {
      file,
      offset: wrong,
      path: "header.magic",
    });
  }
  if (bytes.length < headerBytes) throw tooShort(file, bytes.length);
  const view = viewOf(bytes);
  expectSum(file, 0, "header", bytes.subarray(0, 12), view.getUint32(12));
  const version = view.getUint16(8);
  if (version === checkpointVersion && view.getUint16(10) === 0) return;
  throw checkpointError("CHECKPOINT_VERSION", "the checkpoint file is of a version that is not read here", {
    file,
    offset: 8,
    path: "header.version",
    expected: String(checkpointVersion),
    found: String(version),
  });
}

export function encodeTrailer({ indexOffset, storedBytes, plainBytes, form, crc }: Trailer): Uint8Array {
  const bytes = new Uint8Array(trailerBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(indexOffset));
  view.setUint32(8, storedBytes);
  view.setUint32(12, plainBytes);
  view.setUint8(16, form);
  view.setUint32(20, crc);
  view.setUint32(24, crc32(bytes.subarray(0, 24)));
  view.setUint32(28, endMark);
  return bytes;
}

/** `bytes` end the file, which has `fileBytes`. `CHECKPOINT_TRUNCATED`, `CHECKPOINT_CHECKSUM`. */
export function decodeTrailer(file: string, bytes: Uint8Array, fileBytes: number): Trailer {
  const offset = fileBytes - trailerBytes;
  const view = viewOf(bytes);
  if (view.getUint32(28) !== endMark) throw tooShort(file, fileBytes);
  expectSum(file, offset, "trailer", bytes.subarray(0, 24), view.getUint32(24));
  const indexOffset = Number(view.getBigUint64(0));
  const storedBytes = view.getUint32(8);
  const plainBytes = view.getUint32(12);
  if (indexOffset < headerBytes || indexOffset + storedBytes !== offset) throw tooShort(file, fileBytes);
  const form = view.getUint8(16);
  if (view.getUint32(16) !== form * 2 ** 24 || plainBytes > indexLimitBytes || storedBytes > plainBytes) {
    throw checkpointError("CHECKPOINT_INDEX", "the index is of a form or a length that cannot be", {
      file,
      offset,
      path: "trailer",
      found: `form ${form}, ${storedBytes} of ${plainBytes} bytes`,
    });
  }
  return { indexOffset, storedBytes, plainBytes, form, crc: view.getUint32(20) };
}

/** `CHECKPOINT_CHECKSUM` where the bytes are not those that were summed up. */
export function expectSum(file: string, offset: number, path: string, bytes: Uint8Array, crc: number): void {
  const found = crc32(bytes);
  if (found === crc) return;
  throw checkpointError("CHECKPOINT_CHECKSUM", `${bytes.length} bytes are not what was written`, {
    file,
    offset,
    path,
    expected: `CRC-32 ${hex(crc)}`,
    found: hex(found),
  });
}

export function tooShort(file: string, offset: number): Error {
  return checkpointError("CHECKPOINT_TRUNCATED", "the file does not end as a whole checkpoint file does", {
    file,
    offset,
    path: "trailer",
    expected: "the end of a recording that was completed, and nothing behind it",
  });
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, "0")}`;
