// Writes decoded records back to the bytes that they were: what a tool does that rewrites a stream's RAM.
import type { Writer } from "@godwit/core";
import { encodeName } from "./block-list-writer.ts";
import { writeMappedHeader } from "./mapped-header.ts";
import type { ListedBlock, ListedExtra, PageRecord, RamRecord } from "./ram-sink.ts";
import { type RamRecordKind, recordFlag, writeWord, xbzrleEncoding } from "./records.ts";

const flagOf: Readonly<Record<RamRecordKind, number>> = {
  memsize: recordFlag.memSize,
  zero: recordFlag.zero,
  page: recordFlag.page,
  xbzrle: recordFlag.xbzrle,
  compress: recordFlag.compress,
  eos: recordFlag.eos,
  mfflush: recordFlag.multifdFlush,
};

/** An entry of START's list, which follows the record `memsize`. Of mapped-ram the header alone. */
export function writeListedBlock(out: Writer, block: ListedBlock & ListedExtra): void {
  out.raw(encodeName(block.idstr));
  writeWord(out, block.length, 0);
  if (block.pageBytes !== undefined) writeWord(out, block.pageBytes, 0);
  if (block.address !== undefined) out.u64(block.address);
  if (block.mapped !== undefined) writeMappedHeader(out, block.mapped);
}

/**
 * A record as a walker gives it. `payload` is what it carries, as `RamWalkerInit.payload` gives it: zlib data goes out as
 * it came. Pages of mapped-ram are no records (`mappedRamWriter`), and nothing is written for them.
 */
export function writeRamRecord(out: Writer, record: RamRecord, payload: Uint8Array = new Uint8Array(0)): void {
  if (record.kind === "mapped") return;
  if ("value" in record) {
    writeWord(out, record.value, flagOf[record.kind]);
    return;
  }
  writeWord(out, record.offset, flagOf[record.kind] | (record.continues ? recordFlag.continue : 0));
  if (!record.continues) out.raw(encodeName(record.block.idstr));
  writeHead(out, record);
  out.raw(payload);
}

function writeHead(out: Writer, { kind, fill, payloadBytes }: PageRecord): void {
  if (kind === "zero") out.u8(fill);
  if (kind === "compress") out.u32(payloadBytes);
  if (kind !== "xbzrle") return;
  out.u8(xbzrleEncoding);
  out.u16(payloadBytes);
}
