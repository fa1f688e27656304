// A RAM block: named memory that migrates, where it stands in the guest's physical memory, and who tracks its writes.
import { MigrationError, Writer } from "@godwit/core";
import { type DirtyTracker, pagesOf } from "./tracker.ts";

/** A range of guest-physical memory that the block backs. Bytes. */
export interface GuestRange {
  readonly gpa: number;
  /** Where the range begins in the block. */
  readonly offset: number;
  readonly length: number;
}

export interface RamBlockInit {
  /** The name on the wire, such as `pc.ram`; at most 255 bytes of UTF-8. */
  readonly idstr: string;
  /** The block's memory. Asked again each time: a wasm memory that grows detaches its views. */
  bytes(): Uint8Array;
  /**
   * Takes over fresh memory of the same length by reference: from here on `bytes` gives this, and what it gave before
   * keeps its content. Without `adopt` (a wasm memory cannot be replaced) incoming content is swapped in.
   */
  adopt?(bytes: Uint8Array): void;
  readonly tracker: DirtyTracker;
  /** None for memory that only migrates (a ROM that is not mapped). */
  readonly map?: readonly GuestRange[];
  /** The other side has the same memory (a file that both map): with `x-ignore-shared` its pages do not travel. */
  readonly shared?: boolean;
}

export interface RamBlock {
  readonly idstr: string;
  /** Bytes: QEMU's used_length. */
  readonly length: number;
  readonly tracker: DirtyTracker;
  readonly map: readonly GuestRange[];
  readonly shared: boolean;
  /** The memory as it is now. `RAM_BLOCK_MISMATCH` where its length has changed. */
  bytes(): Uint8Array;
  /** Makes `incoming` the block's content, and gives the memory with the content that the block had before. */
  exchange(incoming: Uint8Array): Uint8Array;
}

/** `DEFINITION_INVALID` for a name, length, tracker or map that cannot be. */
export function ramBlock({ idstr, bytes, adopt, tracker, map = [], shared = false }: RamBlockInit): RamBlock {
  const { length } = bytes();
  const invalid = (path: string, detail: string, expected: string, found: string): MigrationError =>
    new MigrationError("DEFINITION_INVALID", detail, { side: "define", path: `${idstr}.${path}`, expected, found });

  const nameBytes = encodedLength(idstr);
  if (nameBytes < 1 || nameBytes > 255) {
    throw invalid("idstr", "a RAM block's name does not fit the wire", "1 to 255 bytes", `${nameBytes} bytes`);
  }
  if (tracker.pages !== pagesOf(length, tracker.pageBytes)) {
    throw invalid(
      "tracker",
      "the tracker is of another length",
      `${length} bytes`,
      `${tracker.pages * tracker.pageBytes} bytes`,
    );
  }
  for (const [index, range] of map.entries()) {
    const whole = [range.gpa, range.offset, range.length].every((n) => Number.isSafeInteger(n) && n >= 0);
    if (!whole || range.length === 0 || range.offset + range.length > length) {
      throw invalid(`map[${index}]`, "a range lies outside its RAM block", `0 to ${length}`, JSON.stringify(range));
    }
  }
  const current = (): Uint8Array => {
    const now = bytes();
    if (now.length === length) return now;
    throw new MigrationError("RAM_BLOCK_MISMATCH", "the block's memory has changed its length", {
      path: idstr,
      expected: `${length} bytes`,
      found: `${now.length} bytes`,
    });
  };
  return {
    idstr,
    length,
    tracker,
    map: [...map],
    shared,
    bytes: current,
    exchange(incoming: Uint8Array): Uint8Array {
      const before = current();
      if (adopt === undefined) return swap(before, incoming);
      adopt(incoming);
      return before;
    },
  };
}

const swapBytes = 64 * 1024;

/** Exchanges the content of two arrays of one length; gives the second, which holds what the first did. */
function swap(live: Uint8Array, incoming: Uint8Array): Uint8Array {
  const kept = new Uint8Array(Math.min(swapBytes, live.length));
  for (let at = 0; at < live.length; at += kept.length) {
    const end = Math.min(live.length, at + kept.length);
    kept.set(live.subarray(at, end));
    live.set(incoming.subarray(at, end), at);
    incoming.set(kept.subarray(0, end - at), at);
  }
  return incoming;
}

function encodedLength(idstr: string): number {
  const out = new Writer(4 * idstr.length + 1);
  try {
    out.str8(idstr);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
  return out.pos - 1;
}
