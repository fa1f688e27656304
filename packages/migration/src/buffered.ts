// What the engine holds beyond the machine's own memory, counted, and the bounds that keep it from growing.
import { MigrationError } from "@godwit/core";

/** What may be held of the main connection, both ways. Bytes. */
export const mostMainBytes = 16 * 1024 * 1024;
/** What may be held of each connection beside it. Bytes. */
export const mostChannelBytes = 4 * 1024 * 1024;

/**
 * One side's account of bytes that were gathered, that the transport has been given and has not taken yet, or that have
 * come and are being worked on. What a transport holds itself is its own affair, and so is what the machine holds.
 */
export class BufferedBytes {
  #bytes = 0;
  #mostBytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The most that it ever was. */
  get mostBytes(): number {
    return this.#mostBytes;
  }

  /** A connection's part, with its bound. */
  channel(boundBytes: number): ChannelBytes {
    let held = 0;
    return {
      get bytes() {
        return held;
      },
      add: (bytes) => {
        if (held + bytes > boundBytes) throw beyond(held + bytes, boundBytes);
        held += bytes;
        this.#bytes += bytes;
        this.#mostBytes = Math.max(this.#mostBytes, this.#bytes);
      },
      remove: (bytes) => {
        held -= bytes;
        this.#bytes -= bytes;
      },
    };
  }
}

export interface ChannelBytes {
  readonly bytes: number;
  /** `LENGTH_BOUND` where it would be too much; it is not taken then. */
  add(bytes: number): void;
  remove(bytes: number): void;
}

/** Those who send wait for what was sent before; this says that one did not. */
function beyond(bytes: number, boundBytes: number): MigrationError {
  return new MigrationError("LENGTH_BOUND", "the connection takes less than it is given", {
    expected: `at most ${boundBytes} bytes that wait`,
    found: `${bytes} bytes`,
  });
}
