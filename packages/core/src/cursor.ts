// The reading side of a stream: the bytes that have arrived and are not read yet, and where they stand in it.
import { allocate, type Meter } from "./bounds.ts";

const empty = new Uint8Array(0);
/** One for all cursors that hold nothing yet: making a view costs as much as decoding a small record. */
const emptyView = new DataView(empty.buffer);

/** Thrown by a synchronous walk that ran out of bytes; the walk is then done again in steps. Never leaves core. */
export const underflow: unique symbol = Symbol("underflow");

/** No member is `#private`: decoders of other packages take the cursor of whichever copy of core reads the stream. */
export class Cursor implements Meter {
  bytes: Uint8Array = empty;
  view: DataView = emptyView;
  /** Next byte to read, and one past the last that arrived, as indices of `bytes`. */
  pos = 0;
  end = 0;
  /** No more bytes will come. */
  final = false;
  /** Values are checked against the description (`equal`, `range`); tools may look at what a load would refuse. */
  checks = true;
  allocatedBytes = 0;
  /** Array elements so far that may have taken no bytes. */
  freeElements = 0;
  /** Field decodes so far: the measure of work. */
  fields = 0;
  /** Offset in the stream of `bytes[0]`. */
  base = 0;
  /** `bytes` is ours to write behind `end`; otherwise it is the caller's chunk. */
  owned = false;

  constructor(bytes?: Uint8Array, offset = 0) {
    this.base = offset;
    if (bytes !== undefined) adopt(this, bytes, false);
  }

  get available(): number {
    return this.end - this.pos;
  }

  /** Offset from the beginning of the stream of the next byte to read. */
  get offset(): number {
    return this.base + this.pos;
  }

  /** Adds bytes that arrived. They are read in place until `release`. */
  append(chunk: Uint8Array): void {
    const held = this.end - this.pos;
    if (held === 0) {
      this.base += this.pos;
      adopt(this, chunk, false);
      return;
    }
    if (!this.owned || this.bytes.length - this.end < chunk.length) {
      const need = held + chunk.length;
      const grown = allocate(this, this.owned ? 2 * need : need + Math.min(need, 1024), need);
      grown.set(this.bytes.subarray(this.pos, this.end));
      this.base += this.pos;
      adopt(this, grown, true);
      this.end = held;
    }
    this.bytes.set(chunk, this.end);
    this.end += chunk.length;
  }

  /** Lets go of the caller's chunk: what is not read yet is copied, so that the caller may use its buffer again. */
  release(): void {
    if (this.owned) return;
    const held = this.end - this.pos;
    this.base += this.pos;
    if (held === 0) {
      adopt(this, empty, false);
      return;
    }
    const kept = allocate(this, 2 * held, held);
    kept.set(this.bytes.subarray(this.pos, this.end));
    adopt(this, kept, true);
    this.end = held;
  }

  /** `size` bytes, copied. The caller has seen that they are there. */
  take(size: number): Uint8Array {
    const copy = allocate(this, size, this.end - this.pos);
    copy.set(this.bytes.subarray(this.pos, this.pos + size));
    this.pos += size;
    return copy;
  }

  u8(): number {
    return this.bytes[this.pos++] as number;
  }
  u16(): number {
    const at = this.pos;
    this.pos = at + 2;
    return this.view.getUint16(at);
  }
  u32(): number {
    const at = this.pos;
    this.pos = at + 4;
    return this.view.getUint32(at);
  }
  u64(): bigint {
    const at = this.pos;
    this.pos = at + 8;
    return this.view.getBigUint64(at);
  }

  /** An independent cursor over the same unread bytes. */
  fork(): Cursor {
    const copy = new Cursor(this.bytes.slice(this.pos, this.end), this.offset);
    copy.owned = true;
    copy.final = this.final;
    copy.checks = this.checks;
    copy.allocatedBytes = this.allocatedBytes;
    copy.fields = this.fields;
    copy.freeElements = this.freeElements;
    return copy;
  }
}

function adopt(cursor: Cursor, bytes: Uint8Array, owned: boolean): void {
  cursor.bytes = bytes;
  cursor.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  cursor.pos = 0;
  cursor.end = bytes.length;
  cursor.owned = owned;
}
