// The commands of QEMU's stream that a live migration speaks: their payloads, read and written. Source: wire reference 9.1.
import { MigrationError, Writer } from "@godwit/core";
import { commands } from "@godwit/core/stream";
import { nameAt, nameBytes, wholeNumber } from "./names.ts";

/** A command as a stream holds it: be16 number, be16 length and the payload follow the type byte 0x08. */
export interface QemuCommand {
  readonly command: number;
  readonly payload: Uint8Array;
}

/** Bytes of a RAM block. */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

/** What both sides' pages must be like. */
export interface PostcopyPages {
  /** The sizes of all RAM blocks' pages, or-ed. Bytes. */
  readonly pageSizes: number;
  /** Bytes. */
  readonly targetPageBytes: number;
}

export type LiveCommand =
  | { readonly kind: "open-return-path" | "postcopy-listen" | "postcopy-run" | "postcopy-resume" | "switchover-start" }
  | { readonly kind: "ping"; readonly value: number }
  /** `pages` undefined: post-copy of dirty bitmaps alone. */
  | { readonly kind: "postcopy-advise"; readonly pages: PostcopyPages | undefined }
  | { readonly kind: "ram-discard"; readonly idstr: string; readonly ranges: readonly ByteRange[] }
  /** The package itself stands behind the command, outside its length. */
  | { readonly kind: "packaged"; readonly bytes: number }
  | { readonly kind: "recv-bitmap"; readonly idstr: string }
  | { readonly kind: "enable-colo" };

export const commandNumber = {
  openReturnPath: 1,
  ping: 2,
  postcopyAdvise: 3,
  postcopyListen: 4,
  postcopyRun: 5,
  ramDiscard: 6,
  packaged: 7,
  enableColo: 8,
  postcopyResume: 9,
  recvBitmap: 10,
  switchoverStart: 11,
} as const;

/** QEMU sends no more of them in one command, and its reader is only tried with these. */
const mostRanges = 12;
const rangeBytes = 16;
/** Of DISCARD's payload: the one that there is. */
const discardVersion = 0;
const nothing = new Uint8Array(0);

const bare = (command: number): QemuCommand => ({ command, payload: nothing });

export const openReturnPath: QemuCommand = bare(commandNumber.openReturnPath);
export const postcopyListen: QemuCommand = bare(commandNumber.postcopyListen);
export const postcopyRun: QemuCommand = bare(commandNumber.postcopyRun);
export const postcopyResume: QemuCommand = bare(commandNumber.postcopyResume);

export function ping(value: number): QemuCommand {
  return { command: commandNumber.ping, payload: u32(value) };
}

export function postcopyAdvise(pages: PostcopyPages | undefined): QemuCommand {
  if (pages === undefined) return bare(commandNumber.postcopyAdvise);
  const out = new Writer(16);
  out.u64(BigInt(pages.pageSizes));
  out.u64(BigInt(pages.targetPageBytes));
  return { command: commandNumber.postcopyAdvise, payload: out.flush() };
}

export function packaged(bytes: number): QemuCommand {
  return { command: commandNumber.packaged, payload: u32(bytes) };
}

/** `LENGTH_BOUND` for a name longer than 255 bytes. */
export function recvBitmap(idstr: string): QemuCommand {
  const out = new Writer(32);
  const name = nameBytes(idstr, "recv-bitmap.idstr");
  out.u8(name.length);
  out.raw(name);
  return { command: commandNumber.recvBitmap, payload: out.flush() };
}

/** As many commands as it takes. `LENGTH_BOUND` for a name longer than 255 bytes. */
export function* ramDiscards(idstr: string, ranges: Iterable<ByteRange>): Generator<QemuCommand> {
  let held: ByteRange[] = [];
  for (const range of ranges) {
    held.push(range);
    if (held.length < mostRanges) continue;
    yield ramDiscard(idstr, held);
    held = [];
  }
  if (held.length > 0) yield ramDiscard(idstr, held);
}

/**
 * A discard of no bytes, in a range, which QEMU wants at least one of. QEMU 7.2 gets ready for post-copy at the first discard; one that hears LISTEN before any has
 * forgotten it at RUN ("wrong postcopy state").
 */
export const ramDiscardNothing = (idstr: string): QemuCommand => ramDiscard(idstr, [{ start: 0, length: 0 }]);

function ramDiscard(idstr: string, ranges: readonly ByteRange[]): QemuCommand {
  const name = nameBytes(idstr, "ram-discard.idstr");
  const out = new Writer(3 + name.length + ranges.length * rangeBytes);
  out.u8(discardVersion);
  out.u8(name.length);
  out.raw(name);
  out.u8(0);
  for (const { start, length } of ranges) {
    out.u64(BigInt(start));
    out.u64(BigInt(length));
  }
  return { command: commandNumber.ramDiscard, payload: out.flush() };
}

/**
 * What a command says. `offset`: of its type byte in the stream, for errors. `COMMAND_UNKNOWN`, `COMMAND_LENGTH` for a
 * payload of another length than its kind has, `FIELD_CHECK` for one that says what cannot be, `LENGTH_BOUND`.
 */
export function decodeCommand({ command, payload }: QemuCommand, offset = 0): LiveCommand {
  const payloadAt = offset + 5;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const known = commands[command];
  if (known === undefined) {
    throw new MigrationError("COMMAND_UNKNOWN", "an unknown command", {
      path: "command",
      offset: offset + 1,
      found: `0x${command.toString(16)}`,
    });
  }
  const { name } = known;
  const expectBytes = (fits: boolean, expected: string): void => {
    if (fits) return;
    throw new MigrationError("COMMAND_LENGTH", `the command ${name} has another length`, {
      path: "command.length",
      offset: offset + 3,
      expected,
      found: String(payload.length),
    });
  };
  if (known.length >= 0) expectBytes(payload.length === known.length, String(known.length));
  switch (command) {
    case commandNumber.openReturnPath:
      return { kind: "open-return-path" };
    case commandNumber.ping:
      return { kind: "ping", value: view.getUint32(0) };
    case commandNumber.postcopyAdvise:
      expectBytes(payload.length === 0 || payload.length === 16, "0 or 16");
      return { kind: "postcopy-advise", pages: payload.length === 0 ? undefined : advisedPages(view, payloadAt) };
    case commandNumber.postcopyListen:
      return { kind: "postcopy-listen" };
    case commandNumber.postcopyRun:
      return { kind: "postcopy-run" };
    case commandNumber.ramDiscard: {
      const nameLength = payload[1] ?? 0;
      const fixed = 3 + nameLength;
      expectBytes(payload.length >= fixed && (payload.length - fixed) % rangeBytes === 0, `${fixed} and n times 16`);
      return discards(payload, view, payloadAt, nameLength);
    }
    case commandNumber.packaged:
      return { kind: "packaged", bytes: view.getUint32(0) };
    case commandNumber.enableColo:
      return { kind: "enable-colo" };
    case commandNumber.postcopyResume:
      return { kind: "postcopy-resume" };
    case commandNumber.recvBitmap: {
      const nameLength = payload[0] ?? 0;
      expectBytes(payload.length === 1 + nameLength, String(1 + nameLength));
      return { kind: "recv-bitmap", idstr: nameAt(payload, 1, nameLength) };
    }
    default:
      return { kind: "switchover-start" };
  }
}

function advisedPages(view: DataView, offset: number): PostcopyPages {
  return {
    pageSizes: wholeNumber(view, 0, "postcopy-advise.page_sizes", offset),
    targetPageBytes: wholeNumber(view, 8, "postcopy-advise.target_page", offset),
  };
}

function discards(payload: Uint8Array, view: DataView, offset: number, nameLength: number): LiveCommand {
  const check = (holds: boolean, path: string, at: number, expected: string): void => {
    if (holds) return;
    throw new MigrationError("FIELD_CHECK", "a POSTCOPY_RAM_DISCARD that cannot be", {
      path: `ram-discard.${path}`,
      offset: offset + at,
      expected,
      found: String(payload[at]),
    });
  };
  check(payload[0] === discardVersion, "version", 0, String(discardVersion));
  const end = 2 + nameLength;
  check(payload[end] === 0, "idstr", end, "0 behind the name");
  const ranges: ByteRange[] = [];
  for (let at = end + 1; at < payload.length; at += rangeBytes) {
    const path = `ram-discard.ranges[${ranges.length}]`;
    ranges.push({
      start: wholeNumber(view, at, `${path}.start`, offset),
      length: wholeNumber(view, at + 8, `${path}.length`, offset),
    });
  }
  return { kind: "ram-discard", idstr: nameAt(payload, 2, nameLength), ranges };
}

function u32(value: number): Uint8Array {
  const out = new Writer(4);
  out.u32(value);
  return out.flush();
}
