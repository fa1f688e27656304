// Writes START's list of blocks, but for what mapped-ram adds. Source: wire reference 5.2.
import { Writer } from "@godwit/core";
import type { RamBlock } from "./block.ts";
import type { ListFormat } from "./list-format.ts";
import { recordFlag, writeWord } from "./records.ts";

/** What is listed of a block. */
export type WrittenBlock = Pick<RamBlock, "idstr" | "length" | "map">;

/** str8 idstr. */
export function encodeName(idstr: string): Uint8Array {
  const out = new Writer(256);
  out.str8(idstr);
  return out.flush();
}

/** The total counts every block, those that send no page included. */
export function writeTotal(out: Writer, blocks: readonly WrittenBlock[]): void {
  writeWord(
    out,
    blocks.reduce((sum, { length }) => sum + length, 0),
    recordFlag.memSize,
  );
}

/** Name, length, and what the format has: page size, then address, as every QEMU writes them. */
export function writeEntry(out: Writer, { idstr, length, map }: WrittenBlock, format: ListFormat): void {
  out.raw(encodeName(idstr));
  writeWord(out, length, 0);
  const pageBytes = format.pageSizes?.get(idstr);
  if (pageBytes !== undefined) writeWord(out, pageBytes, 0);
  if (format.ignoreShared) out.u64(BigInt(map[0]?.gpa ?? 0));
}

export function writeBlockList(out: Writer, blocks: readonly WrittenBlock[], format: ListFormat): void {
  writeTotal(out, blocks);
  for (const block of blocks) writeEntry(out, block, format);
}
