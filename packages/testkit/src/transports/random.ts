// Numbers that follow from a seed.

export interface Spread {
  readonly least: number;
  readonly most: number;
}

/** Whole numbers from `least` to `most`, both included: the same for the same seed. */
export function spreadOf(seed: number): (of: number | Spread) => number {
  let state = seed >>> 0;
  return (of) => {
    if (typeof of === "number") return of;
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    const part = ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
    return of.least + Math.floor(part * (of.most - of.least + 1));
  };
}
