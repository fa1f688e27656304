// What the user probably meant: the names that are nearest to one that does not exist.

/** At most so many; none that has nothing in common with it. */
export function nearest(wanted: string, names: Iterable<string>, most = 3): string[] {
  const bound = Math.max(3, Math.ceil(wanted.length * 0.6));
  return [...new Set(names)]
    .map((name) => ({ name, distance: distanceOf(wanted, name) }))
    .filter(({ distance }) => distance <= bound)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map(({ name }) => name);
}

export const hintOf = (names: readonly string[]): string | undefined =>
  names.length === 0 ? undefined : `did you mean ${names.join(", or ")}?`;

/** A part of the name that is right counts for much: whoever leaves out the beginning or the end means this one. */
function distanceOf(wanted: string, name: string): number {
  const whole = levenshtein(wanted, name);
  return name.includes(wanted) ? Math.min(whole, 1 + whole / 100) : whole;
}

/** Insertions, deletions and replacements. */
function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
