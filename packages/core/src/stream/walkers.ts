// QEMU's iterable sections that have no description and no plugin here: walked by their own framing, kept as bytes.
// Sources: wire reference 12 (dirty-bitmap, s390-storage_attributes) and 16.3 (spapr/htab).
import { allocate, type Meter } from "../bounds.ts";
import { type Cursor, underflow } from "../cursor.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import type { BodyDecoder } from "../vmstate/codec.ts";
import type { Phase, SectionHead } from "./sections.ts";

/** Reads the section's next record; true at the last. Throws `underflow` where it is not there whole. */
type Step = (cursor: Cursor, index: number) => boolean;

/** The walker of a section that core knows by its idstr, if there is one. */
export function walkerOf(head: SectionHead, phase: Phase): BodyDecoder<Uint8Array> | undefined {
  if (phase === "full") return undefined;
  if (head.idstr === "spapr/htab") return new RecordWalker(phase === "start" ? htabStart : htabStep);
  if (head.idstr === "s390-storage_attributes") return new RecordWalker(storageAttributesStep);
  if (head.idstr === "dirty-bitmap") return new RecordWalker(dirtyBitmapStep);
  return undefined;
}

class RecordWalker implements BodyDecoder<Uint8Array> {
  readonly #step: Step;
  readonly #parts: Uint8Array[];
  #meter: Meter = { allocatedBytes: 0 };
  constructor(step: Step, parts: Uint8Array[] = []) {
    this.#step = step;
    this.#parts = parts;
  }
  resume(cursor: Cursor): boolean {
    this.#meter = cursor;
    for (;;) {
      const from = cursor.pos;
      try {
        const last = this.#step(cursor, this.#parts.length);
        const to = cursor.pos;
        cursor.pos = from;
        this.#parts.push(cursor.take(to - from));
        if (last) return true;
      } catch (error) {
        cursor.pos = from;
        if (error === underflow) return false;
        throw isMigrationError(error) ? error.at({ path: this.path(), offset: cursor.offset }) : error;
      }
    }
  }
  value(): Uint8Array {
    const size = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const bytes = allocate(this.#meter, size, size);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
  path(): string {
    return `records[${this.#parts.length}]`;
  }
  fork(): RecordWalker {
    return new RecordWalker(this.#step, this.#parts.slice());
  }
}

function need(cursor: Cursor, bytes: number): void {
  if (cursor.end - cursor.pos < bytes) throw underflow;
}

function skip(cursor: Cursor, bytes: number): void {
  need(cursor, bytes);
  cursor.pos += bytes;
}

const htabStart: Step = (cursor) => {
  skip(cursor, 4);
  return true;
};

// Every PART and END begins with a header word; only behind a 0 chunks follow, up to an end marker.
const htabStep: Step = (cursor, index) => {
  if (index === 0) {
    need(cursor, 4);
    return cursor.u32() !== 0;
  }
  need(cursor, 8);
  const first = cursor.u32();
  const valid = cursor.u16();
  const invalid = cursor.u16();
  if (first === 0 && valid === 0 && invalid === 0) return true;
  skip(cursor, valid * 16);
  return false;
};

const storageAttributesStep: Step = (cursor) => {
  need(cursor, 8);
  const word = cursor.u64();
  const flags = Number(word & 0xfffn);
  if (flags === 0x01) return true;
  if (flags === 0x08) return false;
  if (flags !== 0x02) {
    throw new MigrationError("FIELD_CHECK", "unknown flags of storage attributes", {
      found: `0x${flags.toString(16)}`,
    });
  }
  need(cursor, 8);
  const count = cursor.u64();
  if (count > 0x1000_0000n)
    throw new MigrationError("COUNT_BOUND", "too many storage attributes", { found: String(count) });
  skip(cursor, Number(count));
  return false;
};

const dirtyBitmapStep: Step = (cursor) => {
  need(cursor, 1);
  const flags = cursor.u8();
  if (flags & 0x80) throw new MigrationError("FIELD_CHECK", "the long form of dirty-bitmap flags is never sent", {});
  for (const flag of [0x08, 0x04]) {
    if ((flags & flag) === 0) continue;
    need(cursor, 1);
    skip(cursor, cursor.u8());
  }
  if (flags & 0x10) skip(cursor, 5);
  if (flags & 0x40) {
    skip(cursor, 12);
    if ((flags & 0x02) === 0) {
      need(cursor, 8);
      const bytes = cursor.u64();
      if (bytes > 0x1000_0000n)
        throw new MigrationError("LENGTH_BOUND", "a dirty bitmap's buffer is too long", { found: String(bytes) });
      skip(cursor, Number(bytes));
    }
  }
  return (flags & 0x01) !== 0;
};
