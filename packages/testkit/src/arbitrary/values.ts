// Arbitraries of single values and of runs of them: biased towards where devices go wrong, and made once for each shape,
// because a choice is known again by its arbitrary.
import type { Spec } from "@godwit/core";
import fc, { Arbitrary, type Random, type Stream, Value } from "fast-check";

export type IntSpec = Extract<Spec, { kind: "int" }>;

/** Of five values one, or as many as told, is one of the edges; it shrinks like any other. */
class Edged<T> extends Arbitrary<T> {
  readonly #base: Arbitrary<T>;
  readonly #edges: readonly T[];
  readonly #ofFive: number;
  constructor(base: Arbitrary<T>, edges: readonly T[], ofFive = 1) {
    super();
    this.#ofFive = ofFive;
    this.#base = base;
    this.#edges = edges;
  }
  override generate(random: Random, biasFactor: number | undefined): Value<T> {
    const { length } = this.#edges;
    if (length === 0 || random.nextInt(1, 5) > this.#ofFive) return this.#base.generate(random, biasFactor);
    return new Value(this.#edges[random.nextInt(0, length - 1)] as T, undefined);
  }
  override canShrinkWithoutContext(value: unknown): value is T {
    return this.#base.canShrinkWithoutContext(value);
  }
  override shrink(value: T, context: unknown): Stream<Value<T>> {
    return this.#base.shrink(value, context);
  }
}

/** What an integer field holds, both included. A pair's halves are 32 bits. */
export function boundsOf({ bytes, signed, as }: IntSpec): readonly [low: bigint, high: bigint] {
  if (as === "safe") return [signed ? -BigInt(Number.MAX_SAFE_INTEGER) : 0n, BigInt(Number.MAX_SAFE_INTEGER)];
  const bits = BigInt(as === "pair" ? 32 : 8 * bytes);
  return signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
}

/** Zero, one, the sign bit and what stands below it, and both ends. */
function edgesOf(low: bigint, high: bigint): bigint[] {
  const top = (high + 1n) / 2n;
  const all = [low, low + 1n, 0n, 1n, -1n, top, top - 1n, high - 1n, high];
  return [...new Set(all)].filter((edge) => edge >= low && edge <= high);
}

const blank = 0;
/** Longer runs are zeros, or noise, with a few places set. */
const longRun = 32;
const mostPlaces = 6;

type TypedArray = { [index: number]: unknown; readonly length: number };
const typedArrays: Readonly<Record<string, new (length: number) => TypedArray>> = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
} as unknown as Record<string, new (length: number) => TypedArray>;

export class Values {
  readonly #known = new Map<string, Arbitrary<unknown>>();

  #once<T>(name: string, make: () => Arbitrary<T>): Arbitrary<T> {
    let arbitrary = this.#known.get(name) as Arbitrary<T> | undefined;
    if (arbitrary === undefined) {
      arbitrary = make();
      this.#known.set(name, arbitrary);
    }
    return arbitrary;
  }

  number(low: number, high: number): Arbitrary<number> {
    return this.#once(
      `number ${low} ${high}`,
      () => new Edged(fc.integer({ min: low, max: high }), edgesOf(BigInt(low), BigInt(high)).map(Number)),
    );
  }

  bigint(low: bigint, high: bigint): Arbitrary<bigint> {
    return this.#once(`bigint ${low} ${high}`, () => new Edged(fc.bigInt({ min: low, max: high }), edgesOf(low, high)));
  }

  /** An index, and other choices without edges of their own. */
  plain(high: number): Arbitrary<number> {
    return this.#once(`plain ${high}`, () => fc.nat(high));
  }

  boolean(): Arbitrary<boolean> {
    return this.#once("boolean", () => fc.boolean());
  }

  /** Not the bits of a pending one beyond 2^63 - 1 ns: a deadline is a signed number of nanoseconds in QEMU. */
  timer(): Arbitrary<bigint | null> {
    return this.#once("timer", () => fc.option(this.bigint(0n, (1n << 63n) - 1n), { nil: null, freq: 4 }));
  }

  /** The bits of 0, 1, -0, the infinities, and of NaNs of both kinds among others. */
  double(): Arbitrary<bigint> {
    const edges = [
      0n,
      0x3ff0n << 48n,
      1n << 63n,
      0x7ff0n << 48n,
      0xfff0n << 48n,
      0x7ff8n << 48n,
      (0x7ff0n << 48n) | 1n,
    ];
    return this.#once("double", () => new Edged(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), edges));
  }

  /** Within `low` and `high`, as the field shows it; a pair has no bounds of its own. */
  int({ as }: IntSpec, low: bigint, high: bigint): Arbitrary<unknown> {
    if (as === "pair") {
      const half = this.number(0, 0xffff_ffff);
      return this.#once("pair", () => fc.tuple(half, half));
    }
    return as === "bigint" ? this.bigint(low, high) : this.number(Number(low), Number(high));
  }

  /** Every other one near the front, where heads are. */
  #index(length: number): Arbitrary<number> {
    return fc.oneof(fc.nat(longRun - 1), fc.nat(length - 1));
  }

  bytes(length: number): Arbitrary<Uint8Array> {
    return this.#once(`bytes ${length}`, () => {
      if (length <= longRun) return fc.uint8Array({ minLength: length, maxLength: length });
      const noise = new Edged(fc.nat(0x7fff_ffff), [blank], 4);
      const places = fc.array(fc.tuple(this.#index(length), this.number(0, 0xff)), { maxLength: mostPlaces });
      return fc.tuple(noise, places).map(([seed, set]) => {
        const bytes = seed === blank ? new Uint8Array(length) : noiseOf(length, seed);
        for (const [index, byte] of set) bytes[index] = byte;
        return bytes;
      });
    });
  }

  /** What an array of `length` integers is in a state: of the width's typed array, where there is one. */
  ints(spec: IntSpec, length: number): Arbitrary<unknown> {
    return this.#once(`ints ${spec.info} ${spec.as} ${length}`, () => {
      const one = this.int(spec, ...boundsOf(spec));
      const few = length <= longRun;
      const values = few
        ? fc.array(one, { minLength: length, maxLength: length }).map((all) => [...all.entries()])
        : fc.array(fc.tuple(this.#index(length), one), { maxLength: mostPlaces });
      return values.map((places) => {
        const array = zeros(spec, length);
        for (const [index, value] of places) array[index] = value;
        return array;
      });
    });
  }
}

/** What an array of integers is in a state. */
export function zeros({ as, info }: IntSpec, length: number): TypedArray {
  const typed = as === "number" || as === "bigint" ? typedArrays[info] : undefined;
  return typed === undefined ? Array.from({ length }, () => (as === "pair" ? [0, 0] : 0)) : new typed(length);
}

function noiseOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = seed;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return bytes;
}
