// RAM as records of a plain stream: each page once, whole, or as the zero that it is.
import { Writer } from "@godwit/core";
import { type ListedBlock, writeListedBlock, writeRamRecord } from "@godwit/ram-dirty-tracker";
import type { RamBlockState, RamPlaces } from "../ram/ram-places.ts";

const eos = { kind: "eos", value: 0 } as const;
/** Pages that are read at a time, and what is given at a time. Bytes. */
const runBytes = 1 << 20;

/** START's data: the total, the list, and its end. */
export function listData(blocks: Iterable<RamBlockState>): Uint8Array {
  const out = new Writer(4096);
  const all = [...blocks];
  writeRamRecord(out, { kind: "memsize", value: all.reduce((sum, { length }) => sum + length, 0) });
  for (const { idstr, length, address } of all) {
    writeListedBlock(out, { idstr, length, ...(address !== undefined && { address }) });
  }
  writeRamRecord(out, eos);
  return out.flush();
}

/** The data of a PART or END without pages. */
export function noPages(): Uint8Array {
  const out = new Writer(8);
  writeRamRecord(out, eos);
  return out.flush();
}

/** The data of a PART or END that has all pages of all blocks but those that are left out. */
export function* pageData(ram: RamPlaces, leftOut: (block: RamBlockState) => boolean): Generator<Uint8Array> {
  const out = new Writer(runBytes + 2 * ram.pageBytes);
  for (const block of ram.blocks.values()) if (!leftOut(block)) yield* blockData(ram, block, out);
  writeRamRecord(out, eos);
  yield out.flush();
}

function* blockData(ram: RamPlaces, block: RamBlockState, out: Writer): Generator<Uint8Array> {
  const { pageBytes } = ram;
  const { written, length } = block;
  const pages = length / pageBytes;
  const run = new Uint8Array(runBytes);
  const zeros = new Uint8Array(pageBytes);
  let continues = false;
  const put = (page: number, content: Uint8Array | undefined): void => {
    const kind = content === undefined ? "zero" : "page";
    const payloadBytes = content?.length ?? 0;
    const record = {
      kind,
      block: block as ListedBlock,
      offset: page * pageBytes,
      continues,
      fill: 0,
      payloadBytes,
    } as const;
    writeRamRecord(out, record, content);
    continues = true;
  };
  for (let page = 0; page < pages; ) {
    const next = written.nextSet(page);
    for (const end = next < 0 ? pages : next; page < end; page++) {
      put(page, undefined);
      if (out.pos >= runBytes) yield out.flush();
    }
    const most = Math.min(pages, page + runBytes / pageBytes);
    let end = page;
    while (end < most && written.test(end)) end++;
    const content = run.subarray(0, (end - page) * pageBytes);
    if (content.length > 0) ram.read(block, page * pageBytes, content);
    for (let at = 0; page < end; page++, at += pageBytes) {
      const own = content.subarray(at, at + pageBytes);
      put(page, Buffer.compare(own, zeros) === 0 ? undefined : own);
      if (out.pos >= runBytes) yield out.flush();
    }
  }
}
