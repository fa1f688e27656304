// Guest-physical memory: RAM blocks seen at the addresses where the guest has them.
import { MigrationError } from "@godwit/core";
import type { Absence } from "./absence.ts";
import type { RamBlock } from "./block.ts";

export interface GuestReader {
  /**
   * `length` bytes at `gpa`, as a view where one range holds them all, else as a copy: not to be kept, not to be
   * written. `MEMORY_UNMAPPED`; `PAGE_ABSENT` where post-copy has not brought all of it yet.
   */
  read(gpa: number, length: number): Uint8Array;
}

export interface GuestMemory extends GuestReader {
  /** Stores, and marks the pages dirty. `MEMORY_UNMAPPED` and `PAGE_ABSENT`, and then nothing is stored. */
  write(gpa: number, bytes: Uint8Array): void;
}

interface MappedRange {
  readonly gpa: number;
  readonly end: number;
  /** The block's number. */
  readonly block: number;
  readonly offset: number;
}

/** Where the guest has its RAM. Made once; the memory behind it may change. */
export interface GuestMap {
  /** Calls `visit` for each piece of a guest range, in order; `MEMORY_UNMAPPED` before the first call. */
  walk(gpa: number, length: number, visit: (piece: GuestPiece) => void): void;
  /** The one block that holds the whole range, if one does. */
  whole(gpa: number, length: number): GuestPiece | undefined;
}

interface GuestPiece {
  /** The block's number. */
  readonly block: number;
  readonly offset: number;
  readonly length: number;
}

/** `DEFINITION_INVALID` where two ranges overlap. */
export function guestMap(blocks: readonly RamBlock[]): GuestMap {
  const ranges: MappedRange[] = blocks.flatMap(({ map }, block) =>
    map.map(({ gpa, offset, length }) => ({ gpa, end: gpa + length, block, offset })),
  );
  ranges.sort((a, b) => a.gpa - b.gpa);
  for (const [index, range] of ranges.entries()) {
    const before = ranges[index - 1];
    if (before === undefined || before.end <= range.gpa) continue;
    throw new MigrationError("DEFINITION_INVALID", "two RAM blocks are mapped at the same guest address", {
      side: "define",
      path: "map",
      found: `${blocks[before.block]?.idstr} and ${blocks[range.block]?.idstr} at 0x${range.gpa.toString(16)}`,
    });
  }

  const indexOf = (gpa: number): number => {
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ranges[middle] as MappedRange).end <= gpa) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  const piecesOf = (gpa: number, length: number): GuestPiece[] => {
    const pieces: GuestPiece[] = [];
    const end = gpa + length;
    let at = gpa;
    for (let index = indexOf(gpa); at < end; index++) {
      const range = ranges[index];
      if (range === undefined || range.gpa > at) throw unmapped(at, gpa, length);
      const until = Math.min(end, range.end);
      pieces.push({ block: range.block, offset: range.offset + (at - range.gpa), length: until - at });
      at = until;
    }
    return pieces;
  };

  return {
    walk(gpa, length, visit) {
      checkRange(gpa, length);
      for (const piece of piecesOf(gpa, length)) visit(piece);
    },
    whole(gpa, length) {
      checkRange(gpa, length);
      const range = ranges[indexOf(gpa)];
      if (range === undefined || range.gpa > gpa || gpa + length > range.end) return undefined;
      return { block: range.block, offset: range.offset + (gpa - range.gpa), length };
    },
  };
}

function checkRange(gpa: number, length: number): void {
  const whole = Number.isSafeInteger(gpa) && Number.isSafeInteger(length) && Number.isSafeInteger(gpa + length);
  if (!whole || gpa < 0 || length < 0) throw unmapped(gpa, gpa, length);
}

function unmapped(at: number, gpa: number, length: number): MigrationError {
  return new MigrationError("MEMORY_UNMAPPED", "no RAM block backs the guest address", {
    expected: "an address of RAM",
    found: `0x${at.toString(16)}, in ${length} bytes at 0x${gpa.toString(16)}`,
  });
}

/** What has not come; undefined where everything is there. */
export type AbsenceOf = () => Absence | undefined;

/** Reads through `map`; `bytesOf` gives the memory of a block by its number. */
export function guestReader(
  map: GuestMap,
  bytesOf: (block: number) => Uint8Array,
  absenceOf: AbsenceOf = () => undefined,
): GuestReader {
  return {
    read(gpa, length) {
      const absence = absenceOf();
      const piece = map.whole(gpa, length);
      if (piece !== undefined) {
        absence?.check(piece.block, piece.offset, length);
        return bytesOf(piece.block).subarray(piece.offset, piece.offset + length);
      }
      if (absence !== undefined) map.walk(gpa, length, (part) => absence.check(part.block, part.offset, part.length));
      let copy: Uint8Array | undefined;
      let at = 0;
      // The walk refuses an unmapped range before its first call, so that no length is allocated on a guest's word.
      map.walk(gpa, length, ({ block, offset, length: bytes }) => {
        copy ??= new Uint8Array(length);
        copy.set(bytesOf(block).subarray(offset, offset + bytes), at);
        at += bytes;
      });
      return copy ?? new Uint8Array(0);
    },
  };
}

/** The memory that the blocks hold at each call. */
export function guestMemory(
  blocks: readonly RamBlock[],
  map: GuestMap = guestMap(blocks),
  absenceOf: AbsenceOf = () => undefined,
): GuestMemory {
  const block = (number: number): RamBlock => blocks[number] as RamBlock;
  const { read } = guestReader(map, (number) => block(number).bytes(), absenceOf);
  return {
    read,
    write(gpa, bytes) {
      const absence = absenceOf();
      if (absence !== undefined) {
        map.walk(gpa, bytes.length, (part) => absence.check(part.block, part.offset, part.length));
      }
      let at = 0;
      map.walk(gpa, bytes.length, ({ block: number, offset, length }) => {
        block(number)
          .bytes()
          .set(bytes.subarray(at, at + length), offset);
        block(number).tracker.mark(offset, length);
        at += length;
      });
    },
  };
}
