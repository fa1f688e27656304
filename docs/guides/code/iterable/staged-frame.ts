// The receiving side of the frame buffer: memory of its own, which becomes the device's at commit.
import { type BodyDecoder, type Cursor, MigrationError, type StagedIterable } from "@godwit/core";
import { endMark, frameVersion, recordHeadBytes } from "./wire.ts";

/** Puts new pixels in the place of the old ones, and gives the old ones. */
type Exchange = (incoming: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

export class StagedFrame implements StagedIterable {
  readonly width: number;
  readonly lines: number;
  /** As large as the local device, whatever the stream says. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly #exchange: Exchange;
  #before: Uint8Array<ArrayBuffer> | undefined;

  constructor(width: number, lines: number, exchange: Exchange) {
    this.width = width;
    this.lines = lines;
    this.pixels = new Uint8Array(width * lines);
    this.#exchange = exchange;
  }

  // #region decoder
  decoder(phase: "start" | "part" | "end", version: number): BodyDecoder<undefined> {
    if (version !== frameVersion) {
      throw new MigrationError("SECTION_VERSION", "a frame buffer of another version", {
        path: "version_id",
        expected: String(frameVersion),
        found: String(version),
      });
    }
    return phase === "start" ? new SizeDecoder(this) : new LinesDecoder(this);
  }
  // #endregion

  offer(): Uint8Array {
    return this.pixels;
  }

  // #region commit
  commit(): void {
    this.#before = this.#exchange(this.pixels);
  }
  revert(): void {
    if (this.#before !== undefined) this.#exchange(this.#before);
    this.#before = undefined;
  }
  settled(): void {
    this.#before = undefined;
  }
  discard(): void {
    this.#before = undefined;
  }
  // #endregion
}

// #region size
class SizeDecoder implements BodyDecoder<undefined> {
  readonly #frame: StagedFrame;
  constructor(frame: StagedFrame) {
    this.#frame = frame;
  }
  resume(cursor: Cursor): boolean {
    if (cursor.available < 4) return false;
    const size = `${cursor.view.getUint16(cursor.pos)} x ${cursor.view.getUint16(cursor.pos + 2)}`;
    const expected = `${this.#frame.width} x ${this.#frame.lines}`;
    if (size !== expected) {
      throw new MigrationError("DEVICE_CHECK", "the frame buffer has another size", { expected, found: size });
    }
    cursor.pos += 4;
    return true;
  }
  value(): undefined {}
  path(): string {
    return "size";
  }
  fork(): SizeDecoder {
    return new SizeDecoder(this.#frame);
  }
}
// #endregion

// #region lines
class LinesDecoder implements BodyDecoder<undefined> {
  readonly #frame: StagedFrame;
  /** The line that comes; undefined between records. */
  #line: number | undefined;
  /** Pixels of it that have come. */
  #arrived = 0;

  constructor(frame: StagedFrame) {
    this.#frame = frame;
  }

  resume(cursor: Cursor): boolean {
    const { width, pixels } = this.#frame;
    for (;;) {
      if (this.#line === undefined) {
        if (cursor.available < recordHeadBytes) return false;
        const line = cursor.view.getUint16(cursor.pos);
        if (line !== endMark) this.#expectLine(line);
        cursor.pos += recordHeadBytes;
        if (line === endMark) return true;
        this.#line = line;
      }
      const bytes = Math.min(width - this.#arrived, cursor.available);
      const at = this.#line * width + this.#arrived;
      pixels.set(cursor.bytes.subarray(cursor.pos, cursor.pos + bytes), at);
      cursor.pos += bytes;
      this.#arrived += bytes;
      if (this.#arrived < width) return false;
      this.#line = undefined;
      this.#arrived = 0;
    }
  }

  #expectLine(line: number): void {
    const { lines } = this.#frame;
    if (line < lines) return;
    const expected = `0 to ${lines - 1}, or ${endMark}`;
    throw new MigrationError("DEVICE_CHECK", "the frame buffer has no such line", { expected, found: String(line) });
  }

  value(): undefined {}
  path(): string {
    return this.#line === undefined ? "line" : `lines[${this.#line}]`;
  }
  takenBytes(): number {
    return this.#arrived;
  }
  fork(): LinesDecoder {
    const copy = new LinesDecoder(this.#frame);
    copy.#line = this.#line;
    copy.#arrived = this.#arrived;
    return copy;
  }
}
// #endregion
