// The writing side of a stream: a buffer that grows, or one that the caller gave.
import { utf8Length, utf8Write } from "./utf8.ts";

export class Writer {
  bytes: Uint8Array;
  view: DataView;
  pos = 0;

  /** `into` is written in place as long as it is large enough. */
  constructor(into: Uint8Array | number = 1024) {
    this.bytes = typeof into === "number" ? new Uint8Array(into) : into;
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }

  /** Makes room for `size` bytes and gives the index of the first. */
  reserve(size: number): number {
    const at = this.pos;
    const end = at + size;
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    this.pos = end;
    return at;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.bytes[at] = value;
  }
  u16(value: number): void {
    const at = this.reserve(2);
    this.view.setUint16(at, value);
  }
  u32(value: number): void {
    const at = this.reserve(4);
    this.view.setUint32(at, value);
  }
  u64(value: bigint): void {
    const at = this.reserve(8);
    this.view.setBigUint64(at, value);
  }
  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.bytes.set(bytes, at);
  }
  /** u8 length, then the bytes of the name; longer than 255 bytes is the caller's mistake. */
  str8(text: string): void {
    const length = utf8Length(text);
    if (length > 255) throw new RangeError(`"${text}" is longer than 255 bytes`);
    this.u8(length);
    const at = this.reserve(length);
    utf8Write(text, this.bytes, at);
  }

  /** What was written, as a view of the buffer. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.pos);
  }
  /** What was written since the last call, as a copy; the buffer starts again. */
  flush(): Uint8Array {
    // A Node Buffer's own `slice` would share the memory.
    const copy = Uint8Array.prototype.slice.call(this.bytes, 0, this.pos);
    this.pos = 0;
    return copy;
  }
}
