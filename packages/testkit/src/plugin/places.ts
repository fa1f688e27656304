// Which bytes of a section are worth a try: of many like elements the first few, and the rest here and there.
import { type FieldPlace, fieldAt, type Members } from "../clocks/fields.ts";

/** Of the elements of an array, and of arrays in these, so many are looked at. */
const mostAlike = 3;

/** The fields of a body of `length` bytes, in their order; of those whose paths differ in an index only, the first few. */
export function firstFields(members: Members, length: number): readonly FieldPlace[] {
  const places: FieldPlace[] = [];
  const alike = new Map<string, number>();
  for (let at = 0; at < length; ) {
    const place = fieldAt(members, at);
    if (place === undefined) {
      at++;
      continue;
    }
    const path = place.path.replaceAll(/\[\d+\]/g, "[]");
    const before = alike.get(path) ?? 0;
    alike.set(path, before + 1);
    if (before < mostAlike) places.push(place);
    at = Math.max(at + 1, place.start + place.bytes);
  }
  return places;
}

/** Up to `most` numbers from 0 to `below` - 1, evenly, ascending. */
export function spread(below: number, most: number): readonly number[] {
  if (below <= most) return Array.from({ length: below }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.floor((i * below) / most));
}

/** Up to `most` of them, evenly. */
export function spreadOf<T>(all: readonly T[], most: number): readonly T[] {
  return spread(all.length, most).map((i) => all[i] as T);
}
