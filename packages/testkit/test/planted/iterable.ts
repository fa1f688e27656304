// An iterable handler of one byte, a register that it has to itself, and what can be wrong with one.
import type { BodyDecoder, Cursor, IterableInit, StagedIterable, Writer } from "@godwit/core";

export interface Memory {
  flags: number;
}

export interface Faults {
  /** Writes to the machine's memory as it comes. */
  readonly inPlace?: boolean;
  /** Throws a TypeError on a byte that it does not know. */
  readonly throws?: boolean;
}

export function memoryIterable(memory: Memory, faults: Faults = {}): IterableInit {
  const nothing = (out: Writer): void => out.u8(0);
  return {
    idstr: "tod-memory",
    version: 1,
    setup: nothing,
    pending: () => ({ mustPrecopyBytes: 1, canPostcopyBytes: 0 }),
    iterate: () => true,
    complete(out) {
      out.u8(memory.flags);
      return true;
    },
    cleanup: () => {},
    stage: () => staged(memory, faults),
  };
}

function staged(memory: Memory, { inPlace, throws }: Faults): StagedIterable {
  let came = 0;
  let before = memory.flags;
  const take = (byte: number): void => {
    if (throws && byte > 1) throw new TypeError("a byte that is not known");
    came = byte;
    if (inPlace) memory.flags = came;
  };
  return {
    decoder: (phase) => new OneByte(phase === "start" ? () => {} : take),
    commit() {
      before = memory.flags;
      memory.flags = came;
    },
    revert() {
      memory.flags = before;
    },
    discard: () => {},
  };
}

class OneByte implements BodyDecoder<undefined> {
  readonly #take: (byte: number) => void;
  constructor(take: (byte: number) => void) {
    this.#take = take;
  }
  resume(cursor: Cursor): boolean {
    if (cursor.available < 1) return false;
    this.#take(cursor.u8());
    return true;
  }
  value(): undefined {
    return undefined;
  }
  path(): string {
    return "byte";
  }
  fork(): OneByte {
    return new OneByte(this.#take);
  }
}
