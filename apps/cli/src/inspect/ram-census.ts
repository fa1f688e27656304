// Counts a stream's RAM as it goes by: blocks, and records by block and kind. What is held does not grow with RAM.
import type { ListedBlock, ListedExtra, RamRecord, RamRecordKind, RamWalkerInit } from "@godwit/ram-dirty-tracker";
import { type PageKind, pageKinds, type RamBlockCensus, type RamCensus } from "./inspection.ts";

type Counts = Record<PageKind, number>;

interface Counted {
  readonly block: ListedBlock & ListedExtra;
  readonly counts: Counts;
}

export class RamCounter {
  readonly #blocks = new Map<string, Counted>();
  readonly #control: Partial<Record<RamRecordKind, number>> = {};
  /** Pages of one block come together. */
  #last: ListedBlock | undefined;
  #lastCounts: Counts = none();

  /** For `ReadOptions.ram`. */
  readonly walk: Omit<RamWalkerInit, "pageBytes" | "list"> = {
    onBlock: (block) => void this.#blocks.set(block.idstr, { block, counts: none() }),
    onRecord: (record) => this.#record(record),
  };

  #record(record: RamRecord): void {
    if (!("block" in record)) {
      this.#control[record.kind] = (this.#control[record.kind] ?? 0) + 1;
      return;
    }
    if (record.block !== this.#last) {
      this.#last = record.block;
      this.#lastCounts = this.#blocks.get(record.block.idstr)?.counts ?? none();
    }
    this.#lastCounts[record.kind]++;
  }

  /** Undefined where no RAM came. `isWhole`: the stream was read to its end. */
  census(pageBytes: number, isWhole: boolean): RamCensus | undefined {
    if (this.#blocks.size === 0) return undefined;
    const blocks = [...this.#blocks.values()].map((counted) => blockCensus(counted, pageBytes, isWhole));
    const records: Partial<Record<RamRecordKind, number>> = { ...this.#control };
    for (const kind of ["zero", "page", "xbzrle", "compress"] as const) {
      const all = sum(blocks.map((block) => block.records[kind]));
      if (all > 0) records[kind] = all;
    }
    return { bytes: sum(blocks.map(({ bytes }) => bytes)), pageBytes, blocks, records };
  }
}

const none = (): Counts => ({ zero: 0, page: 0, xbzrle: 0, compress: 0, mapped: 0 });
const sum = (of: readonly number[]): number => of.reduce((total, one) => total + one, 0);

function blockCensus({ block, counts }: Counted, pageBytes: number, isWhole: boolean): RamBlockCensus {
  const { idstr, length, mapped, address, pageBytes: own } = block;
  const pages = Math.ceil(length / pageBytes);
  // Of mapped-ram, a page that is not there is zero.
  const came = mapped !== undefined && mapped.pagesOffset !== 0 ? pages : sum(pageKinds.map((kind) => counts[kind]));
  return {
    idstr,
    bytes: length,
    pages,
    records: counts,
    pagesElsewhere: isWhole ? Math.max(0, pages - came) : 0,
    ...(own !== undefined && { pageBytes: own }),
    ...(address !== undefined && { address }),
    ...(mapped !== undefined && { mapped: { bitmapOffset: mapped.bitmapOffset, pagesOffset: mapped.pagesOffset } }),
  };
}
