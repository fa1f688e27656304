// All the chance that a plugin test has: the same numbers from the same seed, on every runtime.

/** What `exercise` takes its decisions from, so that what it found can be found again. */
export interface Random {
  /** A whole number from 0 to `below` - 1; `below` is 1 to 2^32. */
  int(below: number): number;
  bool(): boolean;
  bytes(length: number): Uint8Array;
  /** One of `list`, which is not empty. */
  pick<T>(list: readonly T[]): T;
}

/** A 32-bit generator: an additive step, whose result is mixed by two multiplications. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const int = (below: number): number => Math.floor((next() / 2 ** 32) * below);
  return {
    int,
    bool: () => next() >= 2 ** 31,
    bytes: (length) => Uint8Array.from({ length }, () => next() >>> 24),
    pick: <T>(list: readonly T[]): T => list[int(list.length)] as T,
  };
}
