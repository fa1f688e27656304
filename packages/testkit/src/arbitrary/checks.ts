// Values that pass tests which are functions. What the tests say that they expect shows where to look; what is found
// there passes the tests themselves, or is not taken.
import type { Scope, Spec } from "@godwit/core";

type CheckedSpec = Extract<Spec, { kind: "checked" }>;

/** All the tests around a value, and the kind of it. */
export interface Tests {
  readonly inner: Spec;
  passes(value: unknown): boolean;
  /** What they say that they expect. */
  readonly expected: string;
}

export function testsOf(spec: CheckedSpec, scope: Scope): Tests {
  const checks: CheckedSpec[] = [];
  let inner: Spec = spec;
  for (; inner.kind === "checked"; inner = inner.element as Spec) checks.push(inner);
  return {
    inner,
    passes: (value) => checks.every(({ test }) => test(value, scope)),
    expected: checks.map(({ expected }) => expected(scope)).join(", "),
  };
}

/** Where the integers are that pass: everything between two of them, or just these, ascending. */
export type Passing = { readonly low: bigint; readonly high: bigint } | { readonly values: readonly bigint[] };

/** `low` and `high` are what the field holds. */
export function passing(expected: string, low: bigint, high: bigint, passes: (value: bigint) => boolean): Passing {
  const named = numbersIn(expected);
  const [first, last] = named;
  if (first !== undefined && last !== undefined && named.length === 2 && first < last) {
    if (first >= low && last <= high && isRange(first, last, passes)) return { low: first, high: last };
  }
  const near = named.flatMap((value) => [value - 1n, value, value + 1n]);
  const all = [...new Set([...near, ...usual(low, high)])].filter((value) => value >= low && value <= high);
  return { values: all.filter(passes).sort((a, b) => (a < b ? -1 : 1)) };
}

/** Not proof: what is drawn between the ends is tested as well. */
function isRange(first: bigint, last: bigint, passes: (value: bigint) => boolean): boolean {
  return [first, last, first + (last - first) / 2n, first + 1n].every(passes);
}

export function numbersIn(text: string): bigint[] {
  return (text.match(/-?(?:0x[0-9a-f]+|\d+)/gi) ?? []).map((one) => {
    const isNegative = one.startsWith("-");
    return isNegative ? -BigInt(one.slice(1)) : BigInt(one);
  });
}

/** Small numbers, powers of two and their neighbours, and the ends. */
function usual(low: bigint, high: bigint): bigint[] {
  const values = Array.from({ length: 65 }, (_, i) => BigInt(i));
  for (let bit = 7n; bit <= 64n; bit++) values.push((1n << bit) - 1n, 1n << bit, (1n << bit) + 1n);
  return [...values, ...values.map((value) => -value), low, high];
}
