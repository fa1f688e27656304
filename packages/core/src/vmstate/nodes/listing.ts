// How a vmdesc shows the elements of an array. Source: wire reference 1.8.
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import type { Listing } from "./node.ts";

/**
 * Equal elements as one entry with `array_len`, others one by one with `index`. `one` writes and lists an element; it
 * is called for each, in order.
 */
export function listElements(
  listing: Listing,
  name: string,
  n: number,
  compressible: boolean,
  one: (i: number) => VmdescField[],
): VmdescField[] {
  const fields: VmdescField[] = [];
  for (let i = 0; i < n; i++) {
    const [entry] = one(i);
    if (entry === undefined) continue;
    if (n === 1) fields.push(entry);
    else if (compressible) {
      if (i === 0) fields.push({ name, array_len: n, ...withoutName(entry) });
    } else if (i === n - 1 && listing.dialect !== "7.2") fields.push(entry);
    else fields.push({ name, index: i, ...withoutName(entry) });
  }
  return fields;
}

export function withoutName(entry: VmdescField): Omit<VmdescField, "name"> {
  const { name: _, ...rest } = entry;
  return rest;
}
