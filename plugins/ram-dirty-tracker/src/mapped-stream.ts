// mapped-ram by a kernel's stream: START carries all memory in its places, and what changes later is written over in the
// file, by whoever has it open.
import { MigrationError, type Pending, type Writer } from "@godwit/core";
import type { RamBlock } from "./block.ts";
import type { ListFormat } from "./list-format.ts";
import { type MappedRamWriter, mappedRamWriter, mappedSectionData } from "./mapped-ram-writer.ts";
import type { RamWriter } from "./ram-writer.ts";

/** Writes at an offset of the file that the stream goes to. */
export type Place = (offset: number, bytes: Uint8Array) => void;

/**
 * The handler's sending side. Without `place` memory may not change behind START, which holds for a machine that stands
 * while it is saved; else `RAM_ENCODING`.
 */
export function mappedStream(
  blocks: readonly RamBlock[],
  pageBytes: number,
  { ignoreShared = false, fileOffset = 0 }: ListFormat,
  place: Place | undefined,
): RamWriter {
  return new MappedStream(blocks, pageBytes, ignoreShared, fileOffset, place);
}

class MappedStream implements RamWriter {
  readonly #fileOffset: number;
  readonly #place: Place | undefined;
  readonly #writer: MappedRamWriter;
  /** While START is written: its writer, and where its data begins there and in the file. */
  #start: { readonly out: Writer; readonly at: number; readonly position: number } | undefined;
  #dirtyBytes = 0;
  #active = false;
  /** The file differs from START's data. */
  #changed = false;

  constructor(
    blocks: readonly RamBlock[],
    pageBytes: number,
    ignoreShared: boolean,
    fileOffset: number,
    place: Place | undefined,
  ) {
    this.#fileOffset = fileOffset;
    this.#place = place;
    this.#writer = mappedRamWriter({
      blocks,
      pageBytes,
      ignoreShared,
      write: (offset, bytes) => this.#write(offset, bytes),
    });
  }

  setup(out: Writer, offset: number): void {
    const position = this.#fileOffset + offset;
    this.#start = { out, at: out.pos, position };
    const from = out.pos;
    try {
      const end = this.#writer.setup(position);
      this.#active = true;
      this.#writer.complete();
      if (out.pos - from !== end - position) throw new Error("START's data has another length than its places");
    } finally {
      this.#start = undefined;
    }
    this.#dirtyBytes = 0;
  }

  pending(exact: boolean): Pending {
    if (this.#active && exact) this.#dirtyBytes = this.#writer.synchronise();
    return { mustPrecopyBytes: this.#active ? this.#dirtyBytes : 0, canPostcopyBytes: 0 };
  }

  iterate(out: Writer, budgetBytes: number): boolean {
    const done = this.#dirtyBytes === 0 || this.#writer.iterate(budgetBytes);
    if (done) this.#dirtyBytes = 0;
    out.raw(mappedSectionData());
    return done;
  }

  complete(out: Writer): boolean {
    this.#dirtyBytes = this.#writer.synchronise();
    // The bitmaps are those of START where nothing has changed since.
    if (this.#dirtyBytes > 0 || this.#changed) this.#writer.complete();
    this.#dirtyBytes = 0;
    out.raw(mappedSectionData());
    return true;
  }

  cleanup(completed: boolean): void {
    if (!this.#active) return;
    this.#active = false;
    this.#changed = false;
    this.#writer.cleanup(completed);
  }

  /** A page has its place, whether it is written or not: there are no rounds of records to count. */
  sent(): undefined {}

  #write(offset: number, bytes: Uint8Array): void {
    if (this.#start === undefined) {
      this.#changed = true;
      if (this.#place !== undefined) {
        this.#place(offset, bytes);
        return;
      }
      const detail = "memory changed behind START, and nothing writes over its place in the file";
      throw new MigrationError("RAM_ENCODING", detail, { side: "source", section: "ram/0", expected: "place" });
    }
    const { out, at, position } = this.#start;
    const from = at + offset - position;
    const end = from + bytes.length;
    if (end > out.pos) {
      const gap = out.reserve(end - out.pos);
      // A writer's buffer may hold what it held before.
      out.bytes.fill(0, gap, end);
    }
    out.bytes.set(bytes, from);
  }
}
