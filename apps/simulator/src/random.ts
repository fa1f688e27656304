// Random numbers that a seed repeats exactly, and that each part of the world draws from a stream of its own.

export interface Random {
  /** From 0 up to, but without, 1. */
  next(): number;
  /** A whole number from 0 up to, but without, `limit`. */
  below(limit: number): number;
  /** A number from `low` up to, but without, `high`. */
  between(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** Another stream, which depends on the seed and the name alone: drawing more here changes nothing there. */
  fork(name: string): Random;
}

export function randomOf(seed: number, name = ""): Random {
  const state = initialState(seed, name);
  const next = (): number => step(state) / 2 ** 32;
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    between: (low, high) => low + next() * (high - low),
    chance: (probability) => next() < probability,
    pick: (list) => list[below(list.length)] as (typeof list)[number],
    fork: (child) => randomOf(seed, `${name}/${child}`),
  };
}

/** A 32-bit mix of a number: content that can be computed again anywhere. */
export function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

function initialState(seed: number, name: string): Uint32Array {
  let h = mix(seed >>> 0) ^ mix(Math.floor(seed / 2 ** 32) + 0x9e3779b9);
  for (let i = 0; i < name.length; i++) h = mix(h ^ name.charCodeAt(i));
  const state = new Uint32Array(4);
  for (let i = 0; i < 4; i++) {
    h = (h + 0x9e3779b9) >>> 0;
    state[i] = mix(h);
  }
  // All zero is the one state that it would never leave.
  if (state.every((word) => word === 0)) state[0] = 1;
  return state;
}

/** xoshiro128**. */
function step(state: Uint32Array): number {
  const [s0, s1, s2, s3] = state as unknown as [number, number, number, number];
  const result = Math.imul(rotated(Math.imul(s1, 5), 7), 9) >>> 0;
  const a = s2 ^ s0;
  const b = s3 ^ s1;
  state[1] = s1 ^ a;
  state[0] = s0 ^ b;
  state[2] = a ^ (s1 << 9);
  state[3] = rotated(b, 11);
  return result;
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
