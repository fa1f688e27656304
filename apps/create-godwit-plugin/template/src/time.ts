// Virtual nanoseconds in 32-bit registers, which wrap as hardware counters do.

export const second = 1_000_000_000n;

export function wholeSeconds(ns: bigint): number {
  return Number(BigInt.asUintN(32, BigInt.asUintN(64, ns) / second));
}

export function nanosecondsWithin(ns: bigint): number {
  return Number(BigInt.asUintN(64, ns) % second);
}

/** From `elapsed` on, the nanoseconds until a register that counts its seconds shows `value`. */
export function untilTimeIs(value: number, elapsed: bigint): bigint {
  return BigInt((value - wholeSeconds(elapsed)) >>> 0) * second - BigInt(nanosecondsWithin(elapsed));
}

/** The first time behind `now` that is whole periods from `deadline`: what was missed is made up for by one ring. */
export function nextAfter(now: bigint, deadline: bigint, period: bigint): bigint {
  return deadline + ((now - deadline) / period + 1n) * period;
}
