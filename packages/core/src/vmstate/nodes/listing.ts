// How a vmdesc shows the elements of an array. Source: wire reference 1.8.
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Listing } from "./node.ts";

/**
 * Equal elements as one entry with `array_len`, others one by one with `index`. `one` writes and lists an element; it
 * is called for each, in order. Arrays of arrays are one array, as QEMU's 2D arrays are.
 */
export function listElements(
  listing: Listing,
  name: string,
  n: number,
  compressible: boolean,
  one: (i: number) => VmdescField[],
): VmdescField[] {
  const listed = Array.from({ length: n }, (_, i) => one(i));
  if (compressible) {
    const [entry] = listed[0] ?? [];
    if (entry === undefined) return [];
    const { array_len = 1, ...rest } = withoutName(entry);
    return n * array_len === 1 ? [entry] : [{ name, array_len: n * array_len, ...rest }];
  }
  const entries = listed.flat();
  const last = entries.length - 1;
  return entries.map((entry, index) => {
    const { index: _, ...rest } = withoutName(entry);
    if (last === 0 || (index === last && listing.dialect !== "7.2")) return { name, ...rest };
    return { name, index, ...rest };
  });
}

export function withoutName(entry: VmdescField): Omit<VmdescField, "name"> {
  const { name: _, ...rest } = entry;
  return rest;
}
