// Writes RAM to a mapped-ram file: every page has one place, and a page that is dirty again is written over.
// Source: wire reference 8.
import { MigrationError, Writer } from "@godwit/core";
import { type DirtyBitmap, dirtyBitmap } from "./bitmap.ts";
import type { RamBlock } from "./block.ts";
import { writeEntry, writeTotal } from "./block-list-writer.ts";
import type { ListFormat } from "./list-format.ts";
import { ignoredMappedHeader, mappedBitmapBytes, mappedHeaderAt, writeMappedHeader } from "./mapped-header.ts";
import { defaultPageBytes, recordFlag, writeWord } from "./records.ts";
import { isZero, wordView } from "./words.ts";

export interface MappedRamInit {
  readonly blocks: readonly RamBlock[];
  /** Bytes of a target page; the trackers' own. The default is 4096. */
  readonly pageBytes?: number;
  /** `x-ignore-shared`: shared blocks have no place in the file. */
  readonly ignoreShared?: boolean;
  /** Writes at an offset of the file, wherever that is; what is never written reads as zeros. May keep no `bytes`. */
  write(offset: number, bytes: Uint8Array): void;
}

/** The life-cycle of RAM over a file. Errors: `ATTEMPT_ACTIVE`. */
export interface MappedRamWriter {
  /** Writes START's data, which begins at `position` of the file; gives where it ends: there the footer belongs. */
  setup(position: number): number;
  /** Synchronises the trackers; gives the dirty pages' bytes. */
  synchronise(): number;
  /** Writes dirty pages, about `budgetBytes` of them. True: none is left. */
  iterate(budgetBytes: number): boolean;
  /** The rest, and the bitmaps; the machine stands. Without this the file holds no page. */
  complete(): void;
  /** The attempt is over. */
  cleanup(completed: boolean): void;
}

/** The data of every ram section behind START: pages have their places, and only the end is told. */
export function mappedSectionData(): Uint8Array {
  const out = new Writer(8);
  writeWord(out, 0, recordFlag.eos);
  return out.flush();
}

interface PlacedBlock {
  readonly block: RamBlock;
  readonly bitmapOffset: number;
  readonly pagesOffset: number;
  readonly dirty: DirtyBitmap;
  /** Pages whose content is not zero, and stands in the file. */
  readonly present: DirtyBitmap;
}

export function mappedRamWriter(init: MappedRamInit): MappedRamWriter {
  return new FileWriter(init);
}

class FileWriter implements MappedRamWriter {
  readonly #blocks: readonly RamBlock[];
  readonly #pageBytes: number;
  readonly #format: ListFormat;
  readonly #write: (offset: number, bytes: Uint8Array) => void;
  #placed: PlacedBlock[] | undefined;

  constructor({ blocks, pageBytes = defaultPageBytes, ignoreShared = false, write }: MappedRamInit) {
    this.#blocks = blocks;
    this.#pageBytes = pageBytes;
    this.#format = { mappedRam: true, ignoreShared };
    this.#write = write;
  }

  setup(position: number): number {
    if (this.#placed !== undefined) {
      throw new MigrationError("ATTEMPT_ACTIVE", "RAM is being sent already, and has one dirty bitmap", {
        side: "source",
        section: "ram/0",
      });
    }
    const placed: PlacedBlock[] = [];
    this.#placed = placed;
    const out = new Writer();
    writeTotal(out, this.#blocks);
    let at = position;
    for (const block of this.#blocks) {
      writeEntry(out, block, this.#format);
      const isIgnored = block.shared && this.#format.ignoreShared === true;
      const headerAt = at + out.pos;
      const header = isIgnored
        ? ignoredMappedHeader(this.#pageBytes)
        : mappedHeaderAt(headerAt, block.length, this.#pageBytes);
      writeMappedHeader(out, header);
      if (isIgnored) continue;
      this.#write(at, out.flush());
      at = header.pagesOffset + block.length;
      const { pages } = block.tracker;
      placed.push({ block, ...header, dirty: dirtyBitmap(pages), present: dirtyBitmap(pages) });
    }
    writeWord(out, 0, recordFlag.eos);
    const end = at + out.pos;
    this.#write(at, out.flush());
    for (const { block, dirty } of placed) {
      block.tracker.begin();
      dirty.setAll();
    }
    this.synchronise();
    return end;
  }

  synchronise(): number {
    let pages = 0;
    for (const { block, dirty } of this.#running()) {
      block.tracker.sync(block.bytes(), dirty);
      pages += dirty.count;
    }
    return pages * this.#pageBytes;
  }

  iterate(budgetBytes: number): boolean {
    let spent = 0;
    for (const placed of this.#running()) {
      const memory = wordView(placed.block.bytes());
      for (let page = placed.dirty.nextSet(0); page >= 0; page = placed.dirty.nextSet(page + 1)) {
        if (spent > 0 && spent + this.#pageBytes > budgetBytes) return false;
        const offset = page * this.#pageBytes;
        if (isZero(memory, offset, this.#pageBytes)) {
          placed.present.clear(page);
          placed.block.tracker.sent(page, undefined, 0);
        } else {
          const content = memory.bytes.slice(offset, offset + this.#pageBytes);
          this.#write(placed.pagesOffset + offset, content);
          placed.present.set(page);
          placed.block.tracker.sent(page, content, 0);
        }
        placed.dirty.clear(page);
        // Pages that are looked at cost as well as those that are written.
        spent += this.#pageBytes;
      }
    }
    return true;
  }

  complete(): void {
    this.synchronise();
    this.iterate(Number.POSITIVE_INFINITY);
    for (const { present, bitmapOffset } of this.#running()) {
      const bitmap = new Uint8Array(mappedBitmapBytes(present.pages));
      for (let page = present.nextSet(0); page >= 0; page = present.nextSet(page + 1)) {
        bitmap[page >>> 3] = (bitmap[page >>> 3] as number) | (1 << (page & 7));
      }
      this.#write(bitmapOffset, bitmap);
    }
  }

  cleanup(completed: boolean): void {
    for (const { block } of this.#placed ?? []) block.tracker.end(completed);
    this.#placed = undefined;
  }

  #running(): readonly PlacedBlock[] {
    if (this.#placed !== undefined) return this.#placed;
    throw new Error("the mapped-ram writer was not set up");
  }
}
