// Where a mapped-ram file has RAM: START's head and list, and behind each block's entry its bitmap and its pages.
// Source: wire reference 8.
import { Writer } from "@godwit/core";
import {
  type ListedBlock,
  mappedBitmapBytes,
  mappedHeaderAt,
  mappedHeaderBytes,
  writeListedBlock,
  writeRamRecord,
} from "@godwit/ram-dirty-tracker";
import type { Place, RamPlaces } from "../ram/ram-places.ts";
import { writeWhole } from "../ram/run-writer.ts";

/** Type byte, section id, the name "ram", instance and version. */
const startHeadBytes = 1 + 4 + 1 + 3 + 4 + 4;

export class MappedLayout {
  readonly #descriptor: number;
  readonly #pageBytes: () => number;
  readonly #bitmaps = new Map<string, number>();
  #startAt = 0;
  #at = 0;

  constructor(descriptor: number, pageBytes: () => number) {
    this.#descriptor = descriptor;
    this.#pageBytes = pageBytes;
  }

  /** START's type byte is at `position` of the file; the blocks have `total` bytes. */
  begin(position: number, total: number): void {
    this.#startAt = position;
    this.#at = position + startHeadBytes;
    this.#write((out) => writeRamRecord(out, { kind: "memsize", value: total }));
  }

  /** The next block of the list: its entry is written. */
  place(block: ListedBlock): Place {
    const { idstr, length } = block;
    const entry = new Writer(300);
    writeListedBlock(entry, { idstr, length });
    const mapped = mappedHeaderAt(this.#at + entry.pos, length, this.#pageBytes());
    this.#write((out) => writeListedBlock(out, { idstr, length, mapped }));
    this.#bitmaps.set(idstr, mapped.bitmapOffset);
    this.#at = mapped.pagesOffset + length;
    return { descriptor: this.#descriptor, at: mapped.pagesOffset };
  }

  /** All pages have come. `head` and `footer` are START's own; gives where it ends. */
  finish(ram: RamPlaces, head: Uint8Array, footer: Uint8Array): number {
    if (head.length !== startHeadBytes) throw new Error(`a head of ram has ${startHeadBytes} bytes`);
    writeWhole(this.#descriptor, this.#startAt, head);
    this.#write((out) => {
      writeRamRecord(out, { kind: "eos", value: 0 });
      out.raw(footer);
    });
    for (const { idstr, written } of ram.blocks.values()) {
      const bitmap = new Uint8Array(mappedBitmapBytes(written.pages));
      for (let page = written.nextSet(0); page >= 0; page = written.nextSet(page + 1)) {
        bitmap[page >>> 3] = (bitmap[page >>> 3] as number) | (1 << (page & 7));
      }
      writeWhole(this.#descriptor, this.#bitmaps.get(idstr) as number, bitmap);
    }
    return this.#at;
  }

  #write(write: (out: Writer) => void): void {
    const out = new Writer(300 + mappedHeaderBytes);
    write(out);
    const bytes = out.flush();
    writeWhole(this.#descriptor, this.#at, bytes);
    this.#at += bytes.length;
  }
}
