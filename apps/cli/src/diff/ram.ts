// The RAM of two streams, which lies in files, compared page by page in steps of 1 MiB.
import type { RamBlockState, RamPlaces } from "../ram/ram-places.ts";
import type { BlockDifference, PageChange, PageRange, RamDifference, Sides } from "./difference.ts";
import type { Ignoring } from "./ignore.ts";

const stepBytes = 1 << 20;

interface RamCompared {
  readonly difference: RamDifference;
  readonly ignored: number;
}

/** `mostRanges`: of each block; what is beyond is counted, so that memory does not grow with what differs. */
export function compareRam(
  a: RamPlaces,
  b: RamPlaces,
  ignore: Ignoring,
  mostRanges: number,
  progress: (doneBytes: number) => void,
): RamCompared {
  let ignored = 0;
  const keeps = ({ idstr }: RamBlockState): boolean => {
    if (!ignore.field("ram", idstr)) return true;
    ignored++;
    return false;
  };
  const without = (own: RamPlaces, other: RamPlaces) =>
    [...own.blocks.values()]
      .filter((block) => !other.blocks.has(block.idstr) && keeps(block))
      .map(({ idstr, length }) => ({ idstr, bytes: length }));
  const changed: BlockDifference[] = [];
  let inNeither = 0;
  let doneBytes = 0;
  for (const block of a.blocks.values()) {
    const other = b.blocks.get(block.idstr);
    if (other === undefined || ignore.field("ram", block.idstr)) continue;
    const compared = new BlockComparison(a, b, block, other, mostRanges);
    compared.run((bytes) => progress(doneBytes + bytes));
    doneBytes += block.length;
    inNeither += compared.inNeither;
    const difference = compared.difference();
    if (difference !== undefined) changed.push(difference);
  }
  return {
    difference: {
      pageBytes: a.pageBytes,
      onlyInA: without(a, b),
      onlyInB: without(b, a),
      changed,
      pagesInNeither: inNeither,
    },
    ignored,
  };
}

class BlockComparison {
  inNeither = 0;
  readonly #sides: readonly [RamPlaces, RamPlaces];
  readonly #blocks: readonly [RamBlockState, RamBlockState];
  readonly #buffers = [new Uint8Array(stepBytes), new Uint8Array(stepBytes)] as const;
  readonly #mostRanges: number;
  readonly #pages: Record<PageChange, number> = { changed: 0, cleared: 0, filled: 0, onlyInA: 0, onlyInB: 0 };
  readonly #ranges: PageRange[] = [];
  #moreRanges = 0;
  #open: { kind: PageChange; firstPage: number; lastPage: number } | undefined;

  constructor(a: RamPlaces, b: RamPlaces, blockA: RamBlockState, blockB: RamBlockState, mostRanges: number) {
    this.#sides = [a, b];
    this.#blocks = [blockA, blockB];
    this.#mostRanges = mostRanges;
  }

  run(progress: (doneBytes: number) => void): void {
    const [a, b] = this.#blocks;
    const { pageBytes } = this.#sides[0];
    const pages = Math.min(a.length, b.length) / pageBytes;
    const stepPages = stepBytes / pageBytes;
    for (let from = 0; from < pages; from += stepPages) {
      this.#step(from, Math.min(pages, from + stepPages));
      progress(from * pageBytes);
    }
    this.#close();
  }

  #step(from: number, to: number): void {
    const [a, b] = this.#blocks;
    const isWritten = within(a.written.nextSet(from), to) || within(b.written.nextSet(from), to);
    const [bytesA, bytesB] = isWritten ? this.#read(from, to) : [undefined, undefined];
    for (let page = from; page < to; page++) {
      const kind = this.#kind(page, from, bytesA, bytesB);
      if (kind !== undefined) this.#add(page, kind);
    }
  }

  #read(from: number, to: number): readonly [Uint8Array, Uint8Array] {
    const { pageBytes } = this.#sides[0];
    const read = (side: 0 | 1): Uint8Array => {
      const into = this.#buffers[side].subarray(0, (to - from) * pageBytes);
      this.#sides[side].read(this.#blocks[side], from * pageBytes, into);
      return into;
    };
    return [read(0), read(1)];
  }

  #kind(page: number, from: number, a: Uint8Array | undefined, b: Uint8Array | undefined): PageChange | undefined {
    const [blockA, blockB] = this.#blocks;
    const cameA = blockA.came.test(page);
    const cameB = blockB.came.test(page);
    if (cameA !== cameB) return cameA ? "onlyInA" : "onlyInB";
    if (!cameA) {
      this.inNeither++;
      return undefined;
    }
    if (!blockA.written.test(page) && !blockB.written.test(page)) return undefined;
    const { pageBytes } = this.#sides[0];
    const at = (page - from) * pageBytes;
    const [own, other] = [a, b].map((bytes) => (bytes as Uint8Array).subarray(at, at + pageBytes)) as [
      Uint8Array,
      Uint8Array,
    ];
    if (Buffer.compare(own, other) === 0) return undefined;
    // A page of zeros may have been written like any other: a channel does not look at what it brings.
    return isZero(other) ? "cleared" : isZero(own) ? "filled" : "changed";
  }

  #add(page: number, kind: PageChange): void {
    this.#pages[kind]++;
    const open = this.#open;
    if (open?.kind === kind && open.lastPage === page - 1) {
      open.lastPage = page;
      return;
    }
    this.#close();
    this.#open = { kind, firstPage: page, lastPage: page };
  }

  #close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    if (this.#ranges.length === this.#mostRanges) this.#moreRanges++;
    else {
      const { firstPage, lastPage } = open;
      const offset = firstPage * this.#sides[0].pageBytes;
      this.#ranges.push({ ...open, pages: lastPage - firstPage + 1, offset });
    }
  }

  difference(): BlockDifference | undefined {
    const [a, b] = this.#blocks;
    const hasPages = Object.values(this.#pages).some((count) => count > 0);
    const facts = {
      ...changedFact("bytes", a.length, b.length),
      ...changedFact("memoryPageBytes", a.pageBytes, b.pageBytes),
      ...changedFact("address", a.address, b.address),
    };
    if (Object.keys(facts).length === 0 && !hasPages) return undefined;
    return {
      idstr: a.idstr,
      ...facts,
      pages: this.#pages,
      ranges: this.#ranges,
      moreRanges: this.#moreRanges,
    };
  }
}

/** Only a capability has a stream tell some of them: where one side is silent, nothing is known to differ. */
function changedFact<K extends string, T>(name: K, a: T | undefined, b: T | undefined): { [key in K]?: Sides<T> } {
  if (a === undefined || b === undefined || a === b) return {};
  return { [name]: { a, b } } as { [key in K]: Sides<T> };
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

const within = (page: number, to: number): boolean => page >= 0 && page < to;
