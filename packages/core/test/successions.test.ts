// Splits, merges and retirements: every way in which old sections do not become present states.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  array,
  bool,
  buffer,
  former,
  isMigrationError,
  type Kernel,
  type Registration,
  type StateOf,
  subsection,
  u8,
  u16,
  u32,
  vmstate,
} from "../src/index.ts";
import {
  bodyOf,
  cell,
  emptyKernel,
  errorOf,
  held,
  left,
  oldPair,
  optional,
  pair,
  placeOf,
  rejection,
  right,
  saveOf,
} from "./old-saves.ts";

describe("a split", () => {
  const splitting = (convert: (state: StateOf<typeof pair>, version: number) => unknown, more: object = {}) => {
    const kernel = emptyKernel();
    const l = held(kernel, left, { a: 0, data: new Uint8Array(2) });
    const r = held(kernel, right, { b: 0, data: new Uint8Array(2) });
    kernel.split(pair, { into: { l: l.registration, r: r.registration }, convert: convert as never, ...more });
    return { kernel, l, r };
  };
  const shared = Uint8Array.of(4, 5);

  it("gives each device arrays of its own", () => {
    const { kernel, l, r } = splitting(({ a, b }) => ({ r: { b, data: shared }, l: { a, data: shared } }));
    kernel.restore(saveOf(oldPair));
    expect([l.state, r.state]).toEqual([
      { a: 7, data: shared },
      { b: 515, data: shared },
    ]);
    l.state.data[0] = 99;
    expect([r.state.data[0], shared[0]]).toEqual([4, 4]);
  });

  it("names the part that a conversion forgets", () => {
    const { kernel, l } = splitting(({ a }) => ({ l: { a, data: shared } }));
    const save = saveOf(oldPair);
    const error = errorOf(() => kernel.restore(save));
    expect(placeOf(error, save, "pair/0").slice(0, 2)).toEqual(["FIELD_MISSING", "pair/0"]);
    expect(error.detail).toContain("right/0");
    expect(l.loads).toBe(0);
    expect(errorOf(() => splitting(() => undefined).kernel.restore(save)).location.section).toBe("pair/0");
    const late = splitting(async () => Promise.reject(new Error("late")));
    expect(
      placeOf(
        errorOf(() => late.kernel.restore(save)),
        save,
        "pair/0",
      ),
    ).toEqual(["DEVICE_ASYNC", "pair/0", undefined, 0]);
  });

  it("stands where the old device stood, and is refused beside a present part", () => {
    const { kernel, l } = splitting(({ a, b }) => ({ l: { a, data: shared }, r: { b, data: shared } }), {
      path: "p",
    });
    kernel.restore(saveOf([[pair, { a: 3, b: 4 }, { path: "p" }]]));
    expect(l.state.a).toBe(3);
    const both = saveOf([
      [pair, { a: 3, b: 4 }, { path: "p" }],
      [right, { b: 1, data: shared }],
    ]);
    expect(
      placeOf(
        errorOf(() => kernel.restore(both)),
        both,
        "p/pair/0",
      ),
    ).toEqual(["SECTION_DUPLICATE", "p/pair/0", undefined, 0]);
    // Without the old section, every part is missed.
    expect(errorOf(() => kernel.restore(saveOf([[right, { b: 1, data: shared }]]))).location.section).toBe("left/0");
  });

  it("ends when one of its devices is taken out", () => {
    const { kernel, l, r } = splitting(({ a, b }) => ({ l: { a, data: shared }, r: { b, data: shared } }));
    expect(kernel.manifest().reads.map(({ idstr, into }) => [idstr, into])).toEqual([["pair", ["left/0", "right/0"]]]);
    l.registration.remove();
    expect(kernel.manifest().reads).toEqual([]);
    expect(errorOf(() => kernel.restore(saveOf(oldPair))).code).toBe("SECTION_UNKNOWN");
    // The old name is free again.
    const own = held(kernel, pair, { a: 0, b: 0 });
    kernel.restore(saveOf([...oldPair, [right, { b: 1, data: shared }]]));
    expect([own.state, r.state.b]).toEqual([{ a: 7, b: 515 }, 1]);
  });
});

describe("a merge", () => {
  const other = vmstate({ name: "other", version: 1, fields: { y: u8 } });
  const sum = vmstate({ name: "sum", version: 1, fields: { total: u16 } });
  const merging = (parts: object = {}) => {
    const kernel = emptyKernel();
    const own = held(kernel, sum, { total: 0 });
    kernel.merged(own.registration, {
      from: { c: { description: cell }, o: { description: other }, ...parts },
      convert: (of: Record<string, Record<string, number>>) => ({
        total: (of["c"]?.["x"] ?? 0) * 100 + (of["o"]?.["y"] ?? 0) + (of["z"]?.["x"] ?? 0) * 1000,
      }),
    } as never);
    return { kernel, own };
  };
  const c = [cell, { x: 2 }] as const;
  const o = [other, { y: 3 }] as const;

  it("takes its parts in any order", () => {
    const { kernel, own } = merging();
    kernel.restore(saveOf([c, o]));
    expect(own.state).toEqual({ total: 203 });
    kernel.restore(saveOf([o, [cell, { x: 4 }]]));
    expect(own.state).toEqual({ total: 403 });
  });

  it("names a part that did not come, and the ones that did", () => {
    const { kernel, own } = merging();
    for (const [save, missing, there] of [
      [saveOf([c]), "other/0", "cell/0"],
      [saveOf([o]), "cell/0", "other/0"],
    ] as const) {
      const error = errorOf(() => kernel.restore(save));
      expect([error.code, error.location.section, error.location.offset]).toEqual([
        "SECTION_MISSING",
        missing,
        save.length,
      ]);
      expect(error.detail).toBe(`the stream has ${there}, which go with this section`);
    }
    expect(errorOf(() => kernel.restore(saveOf([]))).location.section).toBe("sum/0");
    expect(own.loads).toBe(0);
  });

  it("takes an optional part for what its absence means", () => {
    const { kernel, own } = merging({ z: { description: optional } });
    kernel.restore(saveOf([c, o]));
    expect(own.state).toEqual({ total: 203 });
    kernel.restore(saveOf([c, o, [optional, { x: 1 }]]));
    expect(own.state).toEqual({ total: 1203 });
  });

  it("takes parts of one name from several places, each state its own", () => {
    const kernel = emptyKernel();
    const own = held(kernel, sum, { total: 0 });
    kernel.merged(own.registration, {
      from: {
        first: { description: cell },
        second: { description: cell, instance: 1 },
        third: { description: cell, path: "p" },
      },
      convert: ({ first, second, third }) => ({ total: first.x + 10 * second.x + 100 * third.x }),
    });
    kernel.restore(
      saveOf([
        [cell, { x: 1 }],
        [cell, { x: 2 }, { instance: 1 }],
        [cell, { x: 3 }, { path: "p" }],
      ]),
    );
    expect(own.state).toEqual({ total: 321 });
  });

  it("does not hand out the state that a description keeps for absence", () => {
    const list = vmstate({
      name: "list",
      version: 1,
      fields: { all: buffer(2) },
      needed: () => false,
      absent: { all: new Uint8Array(2) },
    });
    const kernel = emptyKernel();
    const own = held(kernel, sum, { total: 0 });
    kernel.merged(own.registration, {
      from: { c: { description: cell }, l: { description: list } },
      convert: (of) => {
        of.l.all[0] = (of.l.all[0] as number) + 1;
        return { total: of.l.all[0] as number };
      },
    });
    kernel.restore(saveOf([c]));
    kernel.restore(saveOf([c]));
    expect(own.state).toEqual({ total: 1 });
  });

  it("names all parts where what they become is refused, one where only one came", () => {
    for (const [convert, code, path] of [
      [() => ({}), "FIELD_MISSING", "total"],
      [() => ({ total: -1 }), "BITS_RANGE", "total"],
      [() => JSON.parse("{"), "DEVICE_FAILED", undefined],
    ] as const) {
      const kernel = emptyKernel();
      const own = held(kernel, sum, { total: 0 });
      kernel.merged(own.registration, { from: { c: { description: cell }, z: { description: optional } }, convert });
      const both = saveOf([c, [optional, { x: 1 }]]);
      const error = errorOf(() => kernel.restore(both));
      expect(placeOf(error, both, "cell/0")).toEqual([code, "sum/0", path, undefined]);
      expect(error.detail).toMatch(/ \(made of cell\/0, optional\/0\)$/);
      const one = saveOf([c]);
      expect(
        placeOf(
          errorOf(() => kernel.restore(one)),
          one,
          "cell/0",
        ),
      ).toEqual([code, "cell/0", path, 0]);
      expect(own.loads).toBe(0);
    }
  });

  it("names of the parts that others miss only those that came", () => {
    const { kernel } = merging({ third: { description: { ...cell, name: "third" } } });
    expect(errorOf(() => kernel.restore(saveOf([c]))).detail).toBe("the stream has cell/0, which go with this section");
  });

  it("is one instant", () => {
    const kernel = emptyKernel();
    const own = held(kernel, sum, { total: 0 });
    const convert = (async () => Promise.reject(new Error("late"))) as never;
    kernel.merged(own.registration, { from: { c: { description: cell }, o: { description: other } }, convert });
    const save = saveOf([o, c]);
    const error = errorOf(() => kernel.restore(save));
    // Nobody knows which part is at fault: all are named, and no place of one.
    expect(placeOf(error, save, "cell/0")).toEqual(["DEVICE_ASYNC", "sum/0", undefined, undefined]);
    expect(error.detail).toMatch(/ \(made of cell\/0, other\/0\)$/);
    expect(error.location.version).toBeUndefined();
  });

  it("beside the present section is refused", () => {
    const { kernel } = merging();
    const save = saveOf([c, o, [sum, { total: 1 }]]);
    const error = errorOf(() => kernel.restore(save));
    expect(placeOf(error, save, "cell/0")).toEqual(["SECTION_DUPLICATE", "sum/0", undefined, undefined]);
    expect(error.detail).toBe('"sum/0" comes under an older name as well (made of cell/0, other/0)');
  });
});

describe("a retired device", () => {
  const retiring = (
    handOn?: (state: { x: number }, version: number) => () => void,
    more: object = {},
    place: object = {},
  ) => {
    const kernel = emptyKernel();
    const own = held(kernel, pair, { a: 0, b: 0 }, more);
    kernel.retired(cell, { ...place, ...(handOn === undefined ? {} : { handOn }) });
    return { kernel, own };
  };
  const save = saveOf([[cell, { x: 5 }], ...oldPair]);

  it("is read and dropped, and may be missing", () => {
    const { kernel, own } = retiring();
    const report = kernel.restore(save);
    expect(report.loadOrder).toEqual(["timer/0", "pair/0"]);
    expect(own.state).toEqual({ a: 7, b: 515 });
    const notesOf = ({ notes }: typeof report) =>
      notes.filter(({ code }) => code === "retired").map(({ section, text }) => `${section} ${text}`);
    expect(notesOf(report)).toEqual(["cell/0 dropped"]);
    expect(notesOf(retiring(() => () => {}).kernel.restore(save))).toEqual(["cell/0 handed on"]);
    expect(notesOf(kernel.restore(saveOf(oldPair)))).toEqual([]);
    expect(kernel.manifest().reads).toEqual([
      {
        idstr: "cell",
        instance: 0,
        version: 1,
        minimumVersion: 1,
        subsections: [],
        optional: false,
        into: [],
        with: [],
      },
    ]);
  });

  it("is missed by the release that had it, as one that came later is missed in its saves", () => {
    const before = emptyKernel();
    held(before, cell, { x: 0 });
    const error = errorOf(() => before.restore(saveOf([])));
    expect([error.code, error.location.section]).toEqual(["SECTION_MISSING", "cell/0"]);
  });

  it("is still read to its end: what does not fit is told", () => {
    const error = errorOf(() => retiring().kernel.restore(saveOf([[{ ...cell, version: 2 }, { x: 1 }], ...oldPair])));
    expect([error.code, error.location.section, error.expected, error.found]).toEqual([
      "SECTION_VERSION",
      "cell/0",
      "1",
      "2",
    ]);
    const long = vmstate({ name: "cell", version: 1, fields: { x: u16 } });
    expect(errorOf(() => retiring().kernel.restore(saveOf([[long, { x: 1 }]]))).code).toBe("FOOTER_MISSING");
  });

  it("has no iterable data", () => {
    const before = emptyKernel();
    before.iterable({
      idstr: "cell",
      version: 1,
      setup: (out) => out.u8(1),
      pending: () => ({ mustPrecopyBytes: 0, canPostcopyBytes: 0 }),
      iterate: () => true,
      complete: () => true,
      cleanup: () => {},
      stage: () => {
        throw new Error("is not received");
      },
    });
    const error = errorOf(() => retiring().kernel.restore(before.snapshot()));
    expect([error.code, error.location.section, error.found]).toEqual(["SECTION_ORDER", "cell/0", "start"]);
  });

  it("stands where it stood", () => {
    const seen: number[] = [];
    const handOn = ({ x }: { x: number }) => {
      seen.push(x);
      return () => {};
    };
    retiring(handOn, {}, { path: "p" }).kernel.restore(saveOf([...oldPair, [cell, { x: 8 }, { path: "p" }]]));
    retiring(handOn, {}, { instance: 6 }).kernel.restore(saveOf([...oldPair, [cell, { x: 9 }, { instance: 6 }]]));
    expect(seen).toEqual([8, 9]);
    expect(errorOf(() => retiring(handOn, {}, { instance: 6 }).kernel.restore(save)).code).toBe("SECTION_UNKNOWN");
  });

  it("hands its state on when every device has loaded", () => {
    const log: unknown[] = [];
    const { kernel } = retiring(
      (state, version) => {
        log.push(["handed", state, version]);
        return () => log.push("undone");
      },
      { load: () => log.push("load") },
    );
    kernel.restore(save);
    expect(log).toEqual(["load", ["handed", { x: 5 }, 1]]);
    // Nothing to hand on.
    kernel.restore(saveOf(oldPair));
    expect(log.length).toBe(3);
  });

  it("takes back what it handed on where a device does not get ready", async () => {
    const log: string[] = [];
    const kernel = emptyKernel();
    const own = held(kernel, pair, { a: 1, b: 1 }, { ready: () => Promise.reject(new Error("cold")) });
    for (const [description, name] of [
      [cell, "first"],
      [{ ...cell, name: "second" }, "second"],
    ] as const) {
      kernel.retired(description, {
        handOn: () => {
          log.push(name);
          return () => log.push(`undo ${name}`);
        },
      });
    }
    const bytes = saveOf([[cell, { x: 5 }], [{ ...cell, name: "second" }, { x: 6 }], ...oldPair]);
    const error = await rejection(kernel.load(bytes));
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "pair/0", "cold"]);
    expect(log).toEqual(["first", "second", "undo second", "undo first"]);
    expect(own.state).toEqual({ a: 1, b: 1 });
  });

  it("whose function throws takes the whole load back, and names the old section", () => {
    const log: string[] = [];
    const kernel = emptyKernel();
    const own = held(kernel, pair, { a: 1, b: 1 });
    kernel.retired(
      { ...cell, name: "second" },
      {
        handOn: () => {
          log.push("second");
          return () => log.push("undo second");
        },
      },
    );
    kernel.retired(cell, {
      handOn: () => {
        throw new Error("full");
      },
    });
    const error = errorOf(() =>
      kernel.restore(saveOf([[{ ...cell, name: "second" }, { x: 1 }], [cell, { x: 5 }], ...oldPair])),
    );
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "cell/0", "full"]);
    expect(own.state).toEqual({ a: 1, b: 1 });
    expect(log).toEqual(["second", "undo second"]);
  });

  it("whose function gives no way back tears the machine only if there must be one", async () => {
    const nothing = (() => undefined) as never;
    expect(retiring(nothing).kernel.restore(save).loadOrder).toContain("pair/0");
    const { kernel, own } = retiring(nothing, { ready: () => Promise.reject(new Error("cold")) });
    const error = await rejection(kernel.load(save));
    expect([error.code, error.location.section]).toEqual(["MACHINE_TORN", "pair/0"]);
    expect(own.state).toEqual({ a: 0, b: 0 });
  });

  it("whose function gives a promise is refused", () => {
    const { kernel, own } = retiring((async () => Promise.reject(new Error("late"))) as never);
    const error = errorOf(() => kernel.restore(save));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "cell/0"]);
    expect(isMigrationError(error.cause) && error.cause.code).toBe("DEVICE_ASYNC");
    expect(own.state).toEqual({ a: 0, b: 0 });
  });

  it("is not handed on where a check fails", () => {
    const log: string[] = [];
    const { kernel } = retiring(
      () => {
        log.push("handed");
        return () => {};
      },
      {
        check: () => {
          throw new Error("no");
        },
      },
    );
    expect(errorOf(() => kernel.restore(save)).code).toBe("DEVICE_FAILED");
    expect(log).toEqual([]);
  });
});

describe("an old name", () => {
  const init = { save: () => ({ x: 0 }), load: () => {} };
  const named = (name: string) => ({ ...cell, name });

  it("that a present device has is refused, in either order, and nothing is half registered", () => {
    const first = emptyKernel();
    first.device(cell, init);
    const before = first.manifest();
    expect(errorOf(() => first.device(named("new"), { ...init, formerly: ["cell"] })).code).toBe("SECTION_DUPLICATE");
    expect(errorOf(() => first.retired(cell)).location).toEqual({ side: "define", section: "cell/0" });
    expect(first.manifest()).toEqual(before);
    const second = emptyKernel();
    second.device(named("new"), { ...init, formerly: ["cell"] });
    const after = second.manifest();
    expect(errorOf(() => second.device(cell, init)).code).toBe("SECTION_DUPLICATE");
    expect(errorOf(() => second.device(named("other"), { ...init, formerly: ["cell"] })).code).toBe(
      "SECTION_DUPLICATE",
    );
    expect(second.manifest()).toEqual(after);
    // Another instance is another device.
    second.device(cell, { ...init, instance: 1 });
  });

  it("that is given twice, or is the device's own, is refused whole", () => {
    const kernel = emptyKernel();
    const before = kernel.manifest();
    for (const formerly of [["old", "old"], ["cell"], ["old", former(named("old"), { convert: (s) => s as never })]]) {
      expect(errorOf(() => kernel.device(cell, { ...init, formerly })).code).toBe("SECTION_DUPLICATE");
      expect(kernel.manifest()).toEqual(before);
    }
    kernel.device(cell, { ...init, formerly: ["old"] });
  });

  it("given twice in a merge is refused", () => {
    const kernel = emptyKernel();
    const registration = kernel.device(cell, init);
    const part = { description: pair };
    expect(
      errorOf(() => kernel.merged(registration, { from: { a: part, b: part }, convert: () => ({ x: 1 }) })).code,
    ).toBe("SECTION_DUPLICATE");
    expect(kernel.manifest().reads).toEqual([]);
  });

  it.each<[string, string, (kernel: Kernel, registration: Registration<{ x: number }>) => void]>([
    [
      "no part",
      "no section of an earlier release",
      (kernel, into) => kernel.merged(into, { from: {}, convert: () => ({ x: 1 }) }),
    ],
    [
      "one device twice",
      "one device is named twice",
      (kernel, a) => kernel.split(pair, { into: { a, b: a }, convert: () => ({}) as never }),
    ],
    [
      "an optional section for a device that is always there",
      'an optional section becomes "cell/0"',
      (kernel, into) => kernel.merged(into, { from: { a: { description: optional } }, convert: () => ({ x: 1 }) }),
    ],
    [
      "a device that has been taken out",
      "only a registered device",
      (kernel, into) => {
        into.remove();
        kernel.split(pair, { into: { into }, convert: () => ({ into: { x: 1 } }) });
      },
    ],
    [
      "two names",
      'is named "a" and "pair"',
      (kernel) => void kernel.device(named("n"), { ...init, formerly: [{ name: "a", description: pair }] }),
    ],
    [
      "another machine's device",
      "only a registered device",
      (kernel) => {
        const own = emptyKernel().device(named("foreign"), init);
        kernel.split(pair, { into: { own }, convert: () => ({ own: { x: 1 } }) as never });
      },
    ],
  ])("with %s is DEFINITION_INVALID", (_, detail, define) => {
    const kernel = emptyKernel();
    const registration = kernel.device(cell, init) as Registration<{ x: number }>;
    const error = errorOf(() => define(kernel, registration));
    expect([error.code, error.location.side]).toEqual(["DEFINITION_INVALID", "define"]);
    expect(error.detail).toContain(detail);
    expect(kernel.manifest().reads).toEqual([]);
    expect(kernel.manifest().sections.some(({ idstr }) => idstr === "n")).toBe(false);
  });

  it("ends with its device", () => {
    const kernel = emptyKernel();
    const registration = kernel.device(named("new"), { ...init, formerly: ["cell"] });
    registration.remove();
    kernel.device(cell, init);
    expect(kernel.manifest().reads).toEqual([]);
  });

  it("may not come while the machine is saved or loaded", () => {
    const kernel = emptyKernel();
    const into = kernel.device(cell, init);
    for (const attempt of [kernel.incoming(), kernel.outgoing()]) {
      for (const work of [
        () => kernel.device(named("x"), init),
        () => kernel.retired(pair),
        () => kernel.split(pair, { into: { into }, convert: () => ({ into: { x: 1 } }) }),
        () => kernel.merged(into, { from: { p: { description: pair } }, convert: () => ({ x: 1 }) }),
        () => kernel.kind(named("k"), () => init),
        () => kernel.plug(kernel.manifest()),
        () => into.remove(),
      ]) {
        expect(errorOf(work).code).toBe("REGISTRY_FROZEN");
      }
      if ("discard" in attempt) attempt.discard();
      else attempt.end(false);
    }
    kernel.retired(pair);
  });
});

describe("an optional old section", () => {
  it("means to the present device what it says itself", () => {
    const present = vmstate({ name: "present", version: 1, fields: { y: u8 }, needed: () => true, absent: { y: 77 } });
    const kernel = emptyKernel();
    const own = held(
      kernel,
      present,
      { y: 1 },
      { formerly: [former(optional, { convert: ({ x }) => ({ y: x + 1 }) })] },
    );
    kernel.restore(saveOf([[optional, { x: 4 }]]));
    expect(own.state).toEqual({ y: 5 });
    kernel.restore(saveOf([[optional, { x: 0 }]]));
    expect(own.state).toEqual({ y: 77 });
  });
});

describe("an attempt and its forks", () => {
  it("have old sections each for itself, and a discarded one leaves nothing", async () => {
    const kernel = emptyKernel();
    const own = held(kernel, cell, { x: 0 }, { formerly: ["old"] });
    const old = { ...cell, name: "old" };
    const save = saveOf([[old, { x: 9 }]]);
    const cut = bodyOf(save, "old/0") + 1 + 5;
    const attempt = kernel.incoming();
    attempt.push(save.subarray(0, cut - 12));
    const fork = attempt.fork();
    fork.push(save.subarray(cut - 12));
    fork.end();
    await fork.prepare();
    attempt.push(save.subarray(cut - 12, cut));
    expect(errorOf(() => attempt.end()).code).toBe("STREAM_TRUNCATED");
    const other = kernel.incoming();
    other.push(save.subarray(0, cut));
    other.discard();
    kernel.restore(save);
    expect(own).toMatchObject({ state: { x: 9 }, loads: 1 });
  });

  it("can be fed a byte at a time", async () => {
    const kernel = emptyKernel();
    const own = held(kernel, cell, { x: 0 }, { formerly: [former(pair, { convert: ({ a }) => ({ x: a }) })] });
    const save = saveOf(oldPair);
    await kernel.load([...save].map((byte) => Uint8Array.of(byte)));
    expect(own.state).toEqual({ x: 7 });
  });
});

describe("for any state", () => {
  const wide = vmstate({
    name: "wide",
    version: 1,
    fields: { a: u8, b: u16, words: array(u32, 3), on: bool },
    subsections: {
      more: subsection({
        name: "wide/more",
        version: 1,
        fields: { n: u16 },
        needed: (s) => s.n !== 0,
        absent: { n: 0 },
      }),
    },
  });
  const arbitrary = fc.record({
    a: fc.integer({ min: 0, max: 255 }),
    b: fc.integer({ min: 0, max: 65535 }),
    words: fc.uint32Array({ minLength: 3, maxLength: 3 }),
    on: fc.boolean(),
    more: fc.record({ n: fc.integer({ min: 0, max: 3 }) }),
  });
  const one = vmstate({ name: "one", version: 1, fields: { a: u16, words: array(u32, 3) } });
  const two = vmstate({ name: "two", version: 1, fields: { b: u32, on: bool, n: u16, words: array(u32, 3) } });
  type Wide = StateOf<typeof wide>;
  const split = ({ a, b, words, on, more }: Wide, version: number) => ({
    one: { a: a * 2 + version, words },
    two: { b: b * 3, on: !on, n: more.n, words: words.map((word) => word >>> 1) },
  });
  const merge = (parts: { p: Wide; q: Wide }) => ({ a: parts.p.a + parts.q.a, words: parts.q.words });

  it("what arrives is the conversion made by hand", () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, (p, q) => {
        const save = saveOf([[wide, p]]);
        const renaming = emptyKernel();
        const renamed = held(renaming, { ...wide, name: "wid", subsections: {} } as never, {} as never);
        renamed.registration.remove();
        const present = vmstate({
          name: "w2",
          version: 1,
          fields: wide.fields,
          subsections: {
            more: subsection({
              name: "w2/more",
              version: 1,
              fields: { n: u16 },
              needed: (s) => s.n !== 0,
              absent: { n: 0 },
            }),
          },
        });
        const own = held(renaming, present as never, q as never, { formerly: ["wide"] });
        renaming.restore(save);
        expect(own.state).toEqual(p);

        const splitting = emptyKernel();
        const empty = new Uint32Array(3);
        const into = {
          one: held(splitting, one, { a: 0, words: empty }),
          two: held(splitting, two, { b: 0, on: false, n: 0, words: empty }),
        };
        splitting.split(wide, {
          into: { one: into.one.registration, two: into.two.registration },
          convert: split,
        });
        splitting.restore(save);
        expect({ one: into.one.state, two: into.two.state }).toEqual(split(p, 1));

        const merging = emptyKernel();
        const merged = held(merging, one, { a: 0, words: empty });
        merging.merged(merged.registration, {
          from: { p: { description: wide }, q: { description: wide, instance: 1 } },
          convert: merge,
        });
        merging.restore(
          saveOf([
            [wide, q, { instance: 1 }],
            [wide, p],
          ]),
        );
        expect(merged.state).toEqual(merge({ p, q }));
      }),
      { seed: 20, numRuns: 100 },
    );
  });
});
