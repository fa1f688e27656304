// The first 64 bytes of a multifd channel. Source: QEMU's MultiFDInit_t; wire reference 7.1.
import { type Cursor, MigrationError, Writer } from "@godwit/core";

/** The first four bytes of a channel and of each of its packets; the main stream begins with `QEVM` instead. */
export const multifdMagic = 0x1122_3344;
export const multifdVersion = 1;
export const helloBytes = 64;
const uuidBytes = 16;
/** Behind the channel's number. */
const reservedBytes = 39;

export interface MultifdHello {
  /** 16 bytes: the machine's UUID, or zeros. */
  readonly uuid: Uint8Array;
  readonly channel: number;
}

export const noUuid: Uint8Array = new Uint8Array(uuidBytes);

export function encodeHello({ uuid, channel }: MultifdHello): Uint8Array {
  const out = new Writer(helloBytes);
  out.u32(multifdMagic);
  out.u32(multifdVersion);
  out.raw(uuid);
  out.u8(channel);
  out.raw(new Uint8Array(reservedBytes));
  return out.flush();
}

/** Reads 64 bytes, which are there. `MULTIFD_HELLO` for another magic number or version. */
export function decodeHello(cursor: Cursor): MultifdHello {
  const { offset } = cursor;
  expectNumber("hello.magic", offset, multifdMagic, cursor.u32());
  expectNumber("hello.version", offset + 4, multifdVersion, cursor.u32());
  const uuid = cursor.take(uuidBytes);
  const channel = cursor.u8();
  cursor.pos += reservedBytes;
  return { uuid, channel };
}

function expectNumber(path: string, offset: number, expected: number, found: number): void {
  if (found === expected) return;
  throw new MigrationError("MULTIFD_HELLO", "the connection does not begin as a multifd channel", {
    path,
    offset,
    expected: `0x${expected.toString(16)}`,
    found: `0x${found.toString(16)}`,
  });
}
