// Which sections changed their places: all but the longest run of them that is in the same order on both sides.

interface Moved {
  readonly section: string;
  readonly placeA: number;
  readonly placeB: number;
}

/** Of those that both have. */
export function movedSections(a: readonly string[], b: readonly string[]): Moved[] {
  const inB = new Map(b.map((key, place) => [key, place]));
  const common = a.flatMap((section, placeA) => {
    const placeB = inB.get(section);
    return placeB === undefined ? [] : [{ section, placeA, placeB }];
  });
  const stays = longestIncreasing(common.map(({ placeB }) => placeB));
  return common.filter((_, i) => !stays.has(i));
}

/** Positions of a longest increasing subsequence. */
function longestIncreasing(values: readonly number[]): Set<number> {
  const previous: number[] = [];
  /** By length less one: where the run of that length ends whose last value is least. */
  const ends: number[] = [];
  for (const [i, value] of values.entries()) {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((values[ends[middle] as number] as number) < value) low = middle + 1;
      else high = middle;
    }
    previous[i] = low === 0 ? -1 : (ends[low - 1] as number);
    ends[low] = i;
  }
  const stays = new Set<number>();
  for (let i = ends.at(-1) ?? -1; i >= 0; i = previous[i] as number) stays.add(i);
  return stays;
}
