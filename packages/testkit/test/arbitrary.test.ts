// The generated states of any description are states: they encode, and decode to themselves. And they are worth having:
// they reach the edges, obey what ties fields together, and shrink to what matters.
import {
  array,
  atMost,
  bitmap,
  bool,
  buffer,
  checked,
  customField,
  type Description,
  decodeState,
  encodeState,
  equal,
  isMigrationError,
  MigrationError,
  mustExist,
  pointers,
  range,
  sameValue,
  since,
  struct,
  subsection,
  timer,
  tmp,
  u8,
  u16,
  u32,
  u64,
  u64n,
  u64pair,
  unused,
  validate,
  varray,
  vbuffer,
  vmstate,
  when,
} from "@godwit/core";
import { plans } from "@godwit/test-support/plans";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ArbitraryError, type ArbitraryOptions, arbitraryOf } from "../src/arbitrary.ts";

const seed = 20_261_121;

// biome-ignore lint/suspicious/noExplicitAny: the states of many descriptions
type State = any;

function statesOf(description: Description, options?: ArbitraryOptions, numRuns = 300): State[] {
  const states = fc.sample(arbitraryOf(description, options) as fc.Arbitrary<State>, { seed, numRuns });
  for (const state of states) {
    expect(sameValue(decodeState(description, encodeState(description, state)), state)).toBe(true);
  }
  return states;
}

/** The smallest state for which the property does not hold. */
function smallest(description: Description, holds: (state: State) => boolean, options?: ArbitraryOptions): State {
  const property = fc.property(arbitraryOf(description, options) as fc.Arbitrary<State>, holds);
  const { failed, counterexample } = fc.check(property, { seed, numRuns: 500 });
  expect(failed).toBe(true);
  return counterexample?.[0];
}

const of = (fields: Parameters<typeof vmstate>[0]["fields"]): Description =>
  vmstate({ name: "one", version: 1, fields }) as Description;

describe("states of random descriptions", () => {
  it("encode, decode to themselves, and differ", () => {
    let several = 0;
    fc.assert(
      fc.property(plans(2), fc.nat(), ({ description }, inner) => {
        const texts = new Set<string>();
        for (const state of fc.sample(arbitraryOf(description), { seed: inner, numRuns: 5 })) {
          const bytes = encodeState(description, state);
          expect(sameValue(decodeState(description, bytes), state)).toBe(true);
          texts.add(bytes.join());
        }
        if (texts.size > 1) several++;
      }),
      { seed, numRuns: 32 },
    );
    expect(several).toBeGreaterThan(20);
  });

  it("shrink to states, always smaller, until none is", () => {
    fc.assert(
      fc.property(plans(2), fc.nat(), ({ description }, inner) => {
        let tried = 0;
        const property = fc.property(arbitraryOf(description), (state) => {
          tried++;
          expect(sameValue(decodeState(description, encodeState(description, state)), state)).toBe(true);
          return false;
        });
        fc.check(property, { seed: inner, numRuns: 1 });
        expect(tried).toBeLessThan(3000);
      }),
      { seed, numRuns: 8 },
    );
  });

  it("are the same for the same seed, however often they were asked for", () => {
    // Seldom is a count too large, and when it is, the number behind it is kept small.
    const rare = (r: Record<string, number>) => ((r["flag"] as number) >> 1 === 100 ? (r["n"] as number) : 0);
    const description = of({ flag: u8, n: u32, all: varray(rare, u8) });
    const arbitrary = arbitraryOf(description);
    const sample = (one: typeof arbitrary) => fc.sample(one, { seed: 3, numRuns: 600 });
    const first = sample(arbitrary) as State[];
    expect(first.some(({ all }) => all.length > 0)).toBe(true);
    expect(sameValue(sample(arbitrary), first)).toBe(true);
    expect(sameValue(sample(arbitraryOf(description)), first)).toBe(true);
  });
});

describe("values", () => {
  it("reach their edges", () => {
    const fields = { b: u8, w: u32, q: u64, s: u64n, p: u64pair, t: timer };
    const states = statesOf(of(fields), undefined, 400);
    const has = (key: string, ...values: unknown[]) => {
      for (const value of values)
        expect(
          states.some((state) => state[key] === value),
          `${key} ${value}`,
        ).toBe(true);
    };
    has("b", 0, 1, 127, 128, 255);
    has("w", 0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff);
    has("q", 0n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n);
    has("s", 0, Number.MAX_SAFE_INTEGER);
    has("t", null, 0n, (1n << 63n) - 1n);
    expect(states.some(({ p }) => p[1] === 0xffff_ffff)).toBe(true);
    expect(new Set(states.map(({ w }) => w)).size).toBeGreaterThan(150);
  });

  it("pass their checks, by what these say and by what they do", () => {
    const even = (low: number) => checked(u32, (n: number) => n % 2 === 0 && n > low, "an even number");
    const fields = {
      magic: equal(u64, 0xfeed_f00d_dead_beefn),
      limit: atMost(u32 as never, 70_000),
      between: range(u64, 1n << 40n, (1n << 40n) + 3n),
      odd: even(0xffff_fff0),
      one: checked(u32, (n: number) => n === 0x1234, "0x1234"),
      power: checked(u32, (n: number) => n > 0 && (n & (n - 1)) === 0, "a power of two"),
      levels: checked(array(u32, 4), (all) => all.every((level) => level <= 1), "0 or 1 each"),
      lines: checked(array(u8, 4), (all) => all.join() === "4,3,2,1", "4, 3, 2, 1"),
      table: checked(buffer(100), (all) => all.every((byte) => byte === 0), "nothing"),
    };
    const states = statesOf(of(fields), undefined, 80);
    expect(new Set(states.map(({ between }) => between)).size).toBe(4);
    expect(new Set(states.map(({ power }) => power)).size).toBeGreaterThan(5);
    expect(states.some(({ limit }) => limit > 4)).toBe(true);
    expect(new Set(states.map(({ levels }) => levels.join())).size).toBeGreaterThan(5);
  });

  it("have the array of their width", () => {
    const [state] = statesOf(of({ a: array(u16, 3), long: array(u64, 500), plain: array(u64n, 2) }));
    expect(state.a).toBeInstanceOf(Uint16Array);
    expect(state.long).toBeInstanceOf(BigUint64Array);
    expect(Array.isArray(state.plain)).toBe(true);
  });
});

describe("fields that are tied", () => {
  it("are as many as their counter says, which stays small", () => {
    const pair = vmstate({ name: "pair", version: 1, fields: { n: u8, of: varray("n", u8) } });
    const fields = {
      n: u32,
      words: varray("n", u16),
      length: range(u32, 2, 1000),
      raw: vbuffer("length"),
      bits: u16,
      map: bitmap("bits"),
      m: u8,
      pairs: varray("m", struct(pair)),
      nulls: pointers(u8, "m", (i) => i === 1),
      _: unused(3),
    };
    const states = statesOf(of(fields));
    for (const state of states) {
      expect(state.words.length).toBe(state.n);
      expect(state.raw.length).toBe(state.length);
      expect(state.n).toBeLessThanOrEqual(4);
    }
    for (const key of ["n", "m"]) expect(new Set(states.map((state) => state[key])).size).toBe(5);
    expect(states.some(({ pairs }) => pairs.some((one: State) => one.n > 1))).toBe(true);
    expect(states.some(({ bits }) => bits > 64)).toBe(true);
  });

  it("are as many as a function of the record and of the records around it says", () => {
    const inner = vmstate({
      name: "inner",
      version: 1,
      fields: { own: u32, both: varray((r, scope) => r["own"] * (scope.parent?.record["outer"] ?? 0), u8) },
    });
    const states = statesOf(of({ outer: u32, inner: struct(inner) }));
    for (const { outer, inner: own } of states) expect(own.both.length).toBe(outer * own.own);
    expect(states.some(({ inner: own }) => own.both.length > 3)).toBe(true);
  });

  it("are absent where their conditions say so, and pass tests of the record", () => {
    const fields = {
      flags: u8,
      big: when((r) => (r["flags"] & 0x80) !== 0, u32, { absent: 7 }),
      late: since(2, u32, { absent: 9 }),
      low: u8,
      high: u8,
      _order: validate((r) => r["low"] <= r["high"]),
      must: mustExist((r) => r["high"] !== 3, u8),
    };
    const states = statesOf(of(fields));
    for (const { flags, big, late, low, high } of states) {
      if (flags < 0x80) expect(big).toBe(7);
      expect([late, low <= high, high !== 3]).toEqual([9, true, true]);
    }
    expect(states.some(({ big }) => big !== 7)).toBe(true);
  });

  it("are what a description's own functions make of them", () => {
    const wire = vmstate({ name: "wire", version: 3, fields: { low: u16, late: since(1, u8, { absent: 5 }) } });
    const doubled = tmp(wire, {
      save: (value: number) => ({ low: value / 2, late: 5 }),
      load: ({ low, late }) => {
        if (low > 0x8000) throw new MigrationError("FIELD_CHECK", "too much");
        return low * 2 + late - 5;
      },
    });
    const turned = vmstate({
      name: "turned",
      version: 1,
      fields: { doubled, on: bool },
      preSave: (state) => ({ ...state, on: !state.on }),
      postLoad: (state) => ({ ...state, on: !state.on }),
    });
    const states = statesOf(turned as Description);
    expect(states.every((state) => state.doubled <= 0x10000 && state.doubled % 2 === 0)).toBe(true);
    expect(states.some((state) => state.doubled > 1000)).toBe(true);
  });

  it("in the version that is asked for", () => {
    const description = vmstate({
      name: "grown",
      version: 2,
      minimumVersion: 1,
      fields: { a: u8, b: since(2, u8, { absent: 3 }) },
    });
    const newest = fc.sample(arbitraryOf(description), { seed, numRuns: 50 });
    const oldest = fc.sample(arbitraryOf(description, { version: 1 }), { seed, numRuns: 50 });
    expect(newest.some(({ b }) => b !== 3)).toBe(true);
    expect(oldest.every(({ b }) => b === 3)).toBe(true);
  });
});

describe("subsections", () => {
  const description = vmstate({
    name: "sub",
    version: 1,
    fields: { on: bool },
    subsections: {
      some: subsection({
        name: "sub/some",
        version: 1,
        fields: { n: u8, other: u8 },
        needed: (own) => own.n > 1,
        absent: { n: 0, other: 4 },
      }),
      ever: subsection({ name: "sub/ever", version: 1, fields: { n: u8 }, absent: { n: 0 } }),
      outer: subsection({
        name: "sub/outer",
        version: 1,
        fields: { n: u8 },
        needed: (_, scope) => scope.record["on"],
        absent: { n: 6 },
      }),
    },
  });

  it("come, or are their absent", () => {
    const states = statesOf(description as Description);
    for (const { on, some, outer } of states) {
      if (some.n <= 1) expect(some).toEqual({ n: 0, other: 4 });
      if (!on) expect(outer).toEqual({ n: 6 });
    }
    const came = states.filter(({ some }) => some.n > 1).length;
    expect(came).toBeGreaterThan(60);
    expect(came).toBeLessThan(240);
    expect(states.some(({ ever }) => ever.n > 0)).toBe(true);
    expect(states.some(({ outer }) => outer.n !== 6)).toBe(true);
  });

  it("of a section that is not sent: the whole is its absent", () => {
    const optional = vmstate({
      name: "optional",
      version: 1,
      fields: { n: u8 },
      needed: ({ n }) => n > 100,
      absent: { n: 8 },
    });
    const values = statesOf(optional as Description).map(({ n }) => n);
    expect(values.every((n) => n === 8 || n > 100)).toBe(true);
    expect(new Set(values).size).toBeGreaterThan(20);
  });
});

describe("custom fields", () => {
  /** Numbers in ascending order, counted; `sampled` says how they hang together. */
  const ascending = (sampled: boolean) =>
    customField<number[], { all: number[]; left: number | undefined }>({
      kind: "ascending",
      begin: () => ({ all: [], left: undefined }),
      next: ({ left }) => (left === 0 ? undefined : left === undefined ? u8 : u16),
      take(steps, value) {
        if (steps.left === undefined) steps.left = value as number;
        else {
          const n = value as number;
          if (n <= (steps.all.at(-1) ?? -1)) throw new MigrationError("FIELD_CUSTOM", "not ascending");
          steps.all.push(n);
          steps.left--;
        }
      },
      end: ({ all }) => all,
      *encode(all) {
        yield { field: u8, value: all.length };
        for (const value of all) yield { field: u16, value };
      },
      ...(sampled && {
        sample: (choose) => [...new Set(choose.list(4, () => choose.of(u16)))].sort((a, b) => a - b),
      }),
    });

  it("give their samples", () => {
    const states = statesOf(of({ all: ascending(true) }));
    expect(new Set(states.map(({ all }) => all.length)).size).toBe(5);
    expect(states.some(({ all }) => all.at(-1) > 1000)).toBe(true);
  });

  it("are found by their steps, where they give none", () => {
    const states = statesOf(of({ all: ascending(false) }));
    expect(new Set(states.map(({ all }) => all.length)).size).toBeGreaterThan(2);
  });
});

describe("overrides", () => {
  const queue = vmstate({ name: "queue", version: 1, fields: { index: u16, used: u16 } });
  const description = of({ n: u8, queues: varray("n", struct(queue)), raw: array(u8, 3) });

  it("replace what stands at a path, and what a description makes, beginning with what would be there", () => {
    const states = statesOf(description, {
      override: {
        n: () => fc.integer({ min: 5, max: 7 }),
        "queues[].index": (base) => base.map((index: number) => index & 0xff),
        queue: (base) => base.map((state: State) => ({ ...state, used: state.index })),
        "raw[]": () => fc.constant(9),
      },
    });
    for (const { n, queues, raw } of states) {
      expect(n >= 5 && n <= 7 && queues.length === n).toBe(true);
      expect(queues.every((one: State) => one.index < 256 && one.used === one.index)).toBe(true);
      expect([...raw]).toEqual([9, 9, 9]);
    }
    expect(states.some(({ queues }) => queues[0].index > 9)).toBe(true);
  });

  it("shrink with the rest", () => {
    const override = { queue: (base: fc.Arbitrary<State>) => base.map((state) => ({ ...state, used: state.index })) };
    const state = smallest(description, ({ queues }) => !queues.some((one: State) => one.index >= 100), { override });
    expect(state.queues).toEqual([{ index: 100, used: 100 }]);
  });
});

describe("shrinking", () => {
  it("leaves what matters, and zero elsewhere", () => {
    const queue = vmstate({ name: "queue", version: 1, fields: { index: u16, used: u64, on: bool } });
    const fields = { n: u8, queues: varray("n", struct(queue)), flags: u32, long: buffer(4096), ints: array(u32, 8) };
    const state = smallest(of(fields), ({ queues }) => !queues.some((one: State) => one.index > 300 && one.on));
    expect(state.n).toBe(1);
    expect(state.queues).toEqual([{ index: 301, used: 0n, on: true }]);
    expect(state.flags).toBe(0);
    expect(state.long.every((byte: number) => byte === 0)).toBe(true);
    expect([...state.ints]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("leaves subsections out that do not matter", () => {
    const part = (name: string) =>
      subsection({ name, version: 1, fields: { n: u8 }, needed: (own) => own.n > 0, absent: { n: 0 } });
    const two = vmstate({
      name: "x",
      version: 1,
      fields: { lead: u8 },
      subsections: { a: part("x/a"), b: part("x/b") },
    });
    expect(smallest(two as Description, (state) => state.b.n < 40)).toEqual({ lead: 0, a: { n: 0 }, b: { n: 40 } });
  });

  it("does not touch a state that was handed out", () => {
    let isShared = false;
    const property = fc.property(arbitraryOf(of({ a: array(u8, 4), b: buffer(50), c: u64pair })), (state: State) => {
      const before = encodeState(of({ a: array(u8, 4), b: buffer(50), c: u64pair }), state).join();
      isShared ||= state.b.every((byte: number) => byte === 255);
      const good = state.a[0] < 100;
      state.a.fill(255);
      state.b.fill(255);
      state.c[0] = 3;
      return good && before.length > 0;
    });
    const { counterexample } = fc.check(property, { seed, numRuns: 200 });
    const [state] = counterexample as [State];
    expect([state.c[1], isShared]).toEqual([0, false]);
    expect(fc.check(property, { seed, numRuns: 200 }).numShrinks).toBeGreaterThan(0);
  });
});

describe("descriptions without a state that can be found", () => {
  it.each([
    ["a test that nothing meets", { a: { x: checked(u8, () => false, "the impossible") } }, "x"],
    ["a test of the record", { a: { x: u8, _never: validate(() => false) } }, "_never"],
    ["a count beyond its bound", { a: { x: varray(() => 10, u8, { max: 9 }) } }, "x"],
  ] as const)("%s: STATE_NOT_FOUND, with the path and what to do", (_, { a }, path) => {
    const inner = vmstate({ name: "inner", version: 1, fields: a });
    const arbitrary = arbitraryOf(of({ inner: struct(inner) }));
    let caught: unknown;
    try {
      fc.sample(arbitrary, { seed, numRuns: 1 });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ArbitraryError);
    const error = caught as ArbitraryError;
    expect([error.code, error.path, isMigrationError(error)]).toEqual(["STATE_NOT_FOUND", `inner.${path}`, false]);
    expect(error.message).toContain("override");
  });
});
