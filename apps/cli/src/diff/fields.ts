// Two values of one field, and what is different about them.
import type { FieldValue } from "../model/fields.ts";
import type { NamedPart } from "../names/bits.ts";
import { byteRanges, sameBytes } from "./bytes.ts";
import type { FieldDifference, NameDifference } from "./difference.ts";

type NamesOf = (field: FieldValue) => readonly NamedPart[];

/** Undefined where they are the same. One side may lack the field. */
export function fieldDifference(
  a: FieldValue | undefined,
  b: FieldValue | undefined,
  namesA: NamesOf,
  namesB: NamesOf,
): FieldDifference | undefined {
  const path = (a ?? b)?.path as string;
  if (a !== undefined && b !== undefined && same(a.value, b.value)) return undefined;
  const names = nameDifferences(a === undefined ? [] : namesA(a), b === undefined ? [] : namesB(b));
  const named = names.length > 0 && { names };
  if (a?.value instanceof Uint8Array && b?.value instanceof Uint8Array) {
    const { ranges, moreRanges } = byteRanges(a.value, b.value);
    const bytes = { a: a.value.length, b: b.value.length };
    return { path, bytes, ranges, ...(moreRanges > 0 && { moreRanges }), ...named };
  }
  return { path, ...(a !== undefined && { a: a.value }), ...(b !== undefined && { b: b.value }), ...named };
}

function same(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return sameBytes(a, b);
  const isNumber = (value: unknown): value is number | bigint => typeof value === "number" || typeof value === "bigint";
  return isNumber(a) && isNumber(b) ? BigInt(a) === BigInt(b) : a === b;
}

function nameDifferences(a: readonly NamedPart[], b: readonly NamedPart[]): NameDifference[] {
  const inA = new Map(a.map((part) => [part.path, part]));
  const inB = new Map(b.map((part) => [part.path, part]));
  return [...new Set([...inA.keys(), ...inB.keys()])].flatMap((path) => {
    const [own, other] = [inA.get(path), inB.get(path)];
    if (own !== undefined && other !== undefined && BigInt(own.value) === BigInt(other.value)) return [];
    const [had, has] = [own?.names ?? [], other?.names ?? []];
    return [
      {
        path,
        ...(own !== undefined && { a: own.value }),
        ...(other !== undefined && { b: other.value }),
        set: has.filter((name) => !had.includes(name)),
        cleared: had.filter((name) => !has.includes(name)),
      },
    ];
  });
}
