// Counts and lengths: found in the record, and held against their bounds.
import type { Cursor } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { Count, Scope } from "../types.ts";
import { describeValue } from "./leaf.ts";

/** A count from the record, checked against its bound. */
export function countOf(
  count: Count,
  scope: Scope | undefined,
  max: number,
  code: "COUNT_BOUND" | "LENGTH_BOUND",
): number {
  if (typeof count === "number") return count;
  if (scope === undefined)
    throw new MigrationError("DEFINITION_INVALID", "a count without a record", { side: "define" });
  const n: unknown = typeof count === "string" ? scope.record[count] : count(scope.record, scope);
  if (typeof n !== "number" || !(n >= 0 && n <= max) || n % 1 !== 0) {
    const what = typeof count === "string" ? `the count in "${count}" is out of bounds` : "a count is out of bounds";
    throw new MigrationError(code, what, { expected: `0 to ${max}`, found: describeValue(n) });
  }
  return n;
}

/** A count that is the same for every record; else -1. */
export function fixedCount(count: Count): number {
  return typeof count === "number" ? count : -1;
}

export function mismatch(expected: number, found: number): MigrationError {
  return new MigrationError("COUNT_MISMATCH", "the number of elements differs from the count", {
    expected: String(expected),
    found: String(found),
  });
}

// Elements that may take no bytes would let a count of a few bytes build an array of any length.
const freeElements = 4096;

/** The number of an array's elements; `min` is the fewest bytes that one of them takes. */
export function elementsOf(count: Count, scope: Scope | undefined, max: number, min: number): number {
  const n = countOf(count, scope, max, "COUNT_BOUND");
  if (min === 0 && n > freeElements) {
    throw new MigrationError("COUNT_BOUND", "the elements may take no bytes, so nothing justifies their number", {
      expected: `at most ${freeElements}`,
      found: String(n),
    });
  }
  return n;
}

/** More of them than that in one stream are refused, however they nest. */
const freeElementsInAll = 65_536;

/** Charges elements that may take no bytes to the stream that they come from. */
export function charge(cursor: Cursor, n: number, min: number): void {
  if (min > 0) return;
  cursor.freeElements += n;
  if (cursor.freeElements <= freeElementsInAll) return;
  throw new MigrationError("COUNT_BOUND", "the elements may take no bytes, so nothing justifies their number", {
    expected: `at most ${freeElementsInAll} in all`,
    found: String(cursor.freeElements),
  });
}
