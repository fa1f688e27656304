// The records of the ram section: a be64 that holds an address and flags, what it may be, and its bounds.
// Source: QEMU's RAM_SAVE_FLAG_*; wire reference 5.1 and 5.3.
import { MigrationError, type Writer } from "@godwit/core";

/** The version of the ram section, in QEMU since 2009. */
export const ramVersion = 4;

export const recordFlag = {
  /** Obsolete: never sent, and old readers refuse it. */
  full: 0x001,
  zero: 0x002,
  memSize: 0x004,
  page: 0x008,
  eos: 0x010,
  /** A modifier: the page is of the same block as the last one on this channel. */
  continue: 0x020,
  xbzrle: 0x040,
  hook: 0x080,
  compress: 0x100,
  multifdFlush: 0x200,
} as const;

/** All kinds that can be walked; `mfflush` is MULTIFD_FLUSH. */
export type RamRecordKind = "memsize" | "zero" | "page" | "xbzrle" | "compress" | "eos" | "mfflush";

/** Records by kind; a kind that did not occur is absent. */
export type RamRecordCounts = Readonly<Partial<Record<RamRecordKind, number>>>;

/** The kind of a record by its one flag; CONTINUE taken off. */
export const kindOfFlag: ReadonlyMap<number, RamRecordKind | "hook"> = new Map([
  [recordFlag.zero, "zero"],
  [recordFlag.memSize, "memsize"],
  [recordFlag.page, "page"],
  [recordFlag.eos, "eos"],
  [recordFlag.xbzrle, "xbzrle"],
  [recordFlag.hook, "hook"],
  [recordFlag.compress, "compress"],
  [recordFlag.multifdFlush, "mfflush"],
]);

/** The kinds that name a page. */
export function namesPage(kind: RamRecordKind | "hook"): boolean {
  return kind === "zero" || kind === "page" || kind === "xbzrle" || kind === "compress";
}

/** Names the flags of a record, for errors: `ZERO|PAGE (0xa)`. */
export function describeFlags(flags: number): string {
  const names = Object.entries(recordFlag).flatMap(([name, bit]) => (flags & bit ? [flagNames[name] ?? name] : []));
  const hex = `0x${flags.toString(16)}`;
  return names.length === 0 ? hex : `${names.join("|")} (${hex})`;
}

const flagNames: Readonly<Record<string, string>> = {
  full: "FULL",
  zero: "ZERO",
  memSize: "MEM_SIZE",
  page: "PAGE",
  eos: "EOS",
  continue: "CONTINUE",
  xbzrle: "XBZRLE",
  hook: "HOOK",
  compress: "COMPRESS_PAGE",
  multifdFlush: "MULTIFD_FLUSH",
};

/** The one encoding that an XBZRLE record can name. */
export const xbzrleEncoding = 1;

/** The longest that zlib can make of a page: its compressBound. Bytes. */
export function compressedBound(pageBytes: number): number {
  return pageBytes + (pageBytes >> 12) + (pageBytes >> 14) + (pageBytes >> 25) + 13;
}

export const defaultPageBytes = 4096;

/** The flags share a word with the address, so that a page cannot be smaller than they are. */
export function checkPageBytes(pageBytes: number): void {
  if (pageBytes >= 1024 && pageBytes <= 65536 && (pageBytes & (pageBytes - 1)) === 0) return;
  throw new MigrationError("DEFINITION_INVALID", "a target page is a power of two", {
    side: "define",
    path: "pageBytes",
    expected: "1024 to 65536 bytes",
    found: String(pageBytes),
  });
}

/** `pc.ram+0x1000`. */
export function pageName(idstr: string, offset: number): string {
  return `${idstr}+0x${offset.toString(16)}`;
}

/** A be64: `address`, a safe integer and a multiple of the page, with `flags` in the bits below. */
export function writeWord(out: Writer, address: number, flags: number): void {
  const at = out.reserve(8);
  out.view.setUint32(at, Math.floor(address / 2 ** 32));
  out.view.setUint32(at + 4, address | flags);
}
