// Devices that had another name or another shape: what they get of an old section, and where the error points.
import { describe, expect, it } from "vitest";
import {
  array,
  type DeviceInit,
  type ErrorCode,
  former,
  MigrationError,
  type StateOf,
  subsection,
  u8,
  u16,
  u32,
  until,
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
  pair,
  placeOf,
  type States,
  saveOf,
} from "./old-saves.ts";

describe("a renamed device", () => {
  const inner = vmstate({
    name: "uart",
    version: 3,
    minimumVersion: 1,
    fields: { a: u8, gone: until(2, u16, { absent: 0 }), list: array(u16, 3) },
    subsections: {
      fast: subsection({
        name: "uart/fast",
        version: 1,
        fields: { n: u8 },
        needed: (own) => own.n !== 0,
        absent: { n: 0, deep: { m: 0 } },
        subsections: {
          deep: subsection({
            name: "uart/fast/deep",
            version: 1,
            fields: { m: u8 },
            needed: (own) => own.m !== 0,
            absent: { m: 0 },
          }),
        },
      }),
    },
  });
  const { fields, subsections: _ } = inner;
  const oldFast = subsection({
    name: "com/fast",
    version: 1,
    fields: { n: u8 },
    needed: (own) => own.n !== 0,
    absent: { n: 0, deep: { m: 0 } },
    subsections: {
      deep: subsection({
        name: "com/fast/deep",
        version: 1,
        fields: { m: u8 },
        needed: (own) => own.m !== 0,
        absent: { m: 0 },
      }),
    },
  });
  const old = vmstate({ name: "com", version: 3, fields, subsections: { fast: oldFast } });
  const state = { a: 1, gone: 0, list: Uint16Array.of(1, 2, 3), fast: { n: 5, deep: { m: 9 } } };
  const zero = { a: 0, gone: 0, list: new Uint16Array(3), fast: { n: 0, deep: { m: 0 } } };

  it("brings its subsections with it, however deep", () => {
    const kernel = emptyKernel();
    const own = held(kernel, inner, zero, { formerly: ["com"] });
    const { notes } = kernel.restore(saveOf([[old, state]]));
    expect(own.state).toEqual(state);
    expect(notes.filter(({ code }) => code === "former")).toEqual([
      { code: "former", section: "uart/0", text: "from com/0 version 3" },
    ]);
  });

  it("keeps the value of a field that has gone since, as under its own name", () => {
    const first = vmstate({ name: "com", version: 1, fields: { a: u8, gone: u16, list: array(u16, 3) } });
    const kernel = emptyKernel();
    const own = held(kernel, inner, zero, { formerly: ["com"] });
    kernel.restore(saveOf([[first, { a: 1, gone: 77, list: Uint16Array.of(1, 2, 3) }]]));
    const renamed = own.state;
    kernel.restore(
      saveOf([
        [
          { ...first, name: "uart" },
          { a: 1, gone: 77, list: Uint16Array.of(1, 2, 3) },
        ],
      ]),
    );
    expect(own.state).toEqual(renamed);
    expect(renamed.gone).toBe(77);
  });

  it("is refused under a version that the present description does not read", () => {
    const save = saveOf([[{ ...old, version: 4 }, state]]);
    const low = saveOf([[{ ...old, version: 0 }, state]]);
    const kernel = emptyKernel();
    held(kernel, inner, zero, { formerly: ["com"] });
    for (const bytes of [save, low]) {
      const error = errorOf(() => kernel.restore(bytes));
      expect([error.code, error.location.section, error.expected]).toEqual(["SECTION_VERSION", "com/0", "1 to 3"]);
    }
  });

  it("has its check's refusal told by the old name, and by the very byte", () => {
    const save = saveOf([[old, state]]);
    const kernel = emptyKernel();
    let path = "list[1]";
    const check = () => {
      throw new MigrationError("DEVICE_CHECK", "planted", { path });
    };
    const own = held(kernel, inner, zero, { formerly: ["com"], check });
    // The array begins behind one byte; a subsection's head has 1 + 1 + 8 + 4 bytes here.
    expect(
      placeOf(
        errorOf(() => kernel.restore(save)),
        save,
        "com/0",
      ),
    ).toEqual(["DEVICE_CHECK", "com/0", "list[1]", 1]);
    path = "fast.n";
    expect(
      placeOf(
        errorOf(() => kernel.restore(save)),
        save,
        "com/0",
      ),
    ).toEqual(["DEVICE_CHECK", "com/0", "fast.n", 21]);
    expect(own.loads).toBe(0);
  });

  it("may have had several names and places, one of them in a save", () => {
    const places: [string, Partial<DeviceInit<never>>][] = [
      ["first", {}],
      ["second", { instance: 4 }],
      ["cell", { path: "old/slot" }],
      ["third", { path: "here" }],
    ];
    for (const [name, place] of places) {
      const kernel = emptyKernel();
      const own = held(
        kernel,
        cell,
        { x: 0 },
        {
          path: "slot",
          formerly: ["first", { name: "second", instance: 4 }, { path: "old/slot" }, { name: "third", path: "here" }],
        },
      );
      kernel.restore(saveOf([[{ ...cell, name }, { x: 9 }, place]]));
      expect(own.state).toEqual({ x: 9 });
    }
  });

  it("looks under its own instance, or the one that streams without paths carry", () => {
    for (const [now, before] of [
      [{ instance: 3 }, { instance: 3 }],
      [{ path: "p", instance: 5 }, { instance: 5 }],
      [{ path: "p" }, {}],
    ] as const) {
      const kernel = emptyKernel();
      const own = held(kernel, cell, { x: 0 }, { ...now, formerly: ["old"] });
      kernel.restore(saveOf([[{ ...cell, name: "old" }, { x: 4 }, before]]));
      expect(own.state).toEqual({ x: 4 });
    }
  });

  it("with a place and no instance had instance 0, whichever device is registered first", () => {
    const disk = { ...cell, name: "disk" };
    for (const order of [
      ["slot-1", "slot-2"],
      ["slot-2", "slot-1"],
    ]) {
      const kernel = emptyKernel();
      // What the devices say is theirs, and not a number that the other gave them.
      const said: Record<string, object> = { "slot-1": {}, "slot-2": { instance: 1 } };
      const disks = order.map((path) => ({
        path,
        own: held(kernel, cell, { x: 0 }, { path, formerly: ["disk"], ...said[path] }),
      }));
      kernel.restore(
        saveOf([
          [disk, { x: 1 }],
          [disk, { x: 2 }, { instance: 1 }],
        ]),
      );
      expect(Object.fromEntries(disks.map(({ path, own }) => [path, own.state.x]))).toEqual({
        "slot-1": 1,
        "slot-2": 2,
      });
    }
    const silent = emptyKernel();
    held(silent, cell, { x: 0 }, { path: "slot-1", formerly: ["disk"] });
    const error = errorOf(() => held(silent, cell, { x: 0 }, { path: "slot-2", formerly: ["disk"] }));
    expect([error.code, error.location.section]).toEqual(["SECTION_DUPLICATE", "disk/0"]);
    const second = held(silent, cell, { x: 0 }, { path: "slot-2", formerly: [{ name: "disk", instance: 1 }] });
    silent.restore(
      saveOf([
        [disk, { x: 1 }],
        [disk, { x: 2 }, { instance: 1 }],
      ]),
    );
    expect(second.state).toEqual({ x: 2 });
  });

  it('with the instance "auto" was numbered in the order of registration, and says so', () => {
    const disk = { ...cell, name: "disk" };
    const kernel = emptyKernel();
    const disks = ["b", "a"].map((path) =>
      held(kernel, cell, { x: 0 }, { path, instance: "auto", formerly: ["disk"] }),
    );
    kernel.restore(
      saveOf([
        [disk, { x: 1 }],
        [disk, { x: 2 }, { instance: 1 }],
      ]),
    );
    expect(disks.map(({ state }) => state.x)).toEqual([1, 2]);
  });

  it.each([-1, 0.5, 2 ** 32, Number.NaN])("cannot have had the instance %s", (instance) => {
    const error = errorOf(() => held(emptyKernel(), cell, { x: 0 }, { formerly: [{ name: "old", instance }] }));
    expect([error.code, error.location.side, error.found]).toEqual(["DEFINITION_INVALID", "define", String(instance)]);
  });

  it("takes an old name before another device's legacy name", () => {
    const kernel = emptyKernel();
    const other = held(kernel, { ...cell, name: "net" }, { x: 1 }, { path: "slot" });
    const own = held(kernel, cell, { x: 0 }, { formerly: ["net"] });
    kernel.restore(
      saveOf([
        [{ ...cell, name: "net" }, { x: 6 }],
        [{ ...cell, name: "net" }, { x: 5 }, { path: "slot" }],
      ]),
    );
    expect([other.state, own.state]).toEqual([{ x: 5 }, { x: 6 }]);
  });

  it("is refused where two sections are the same device, whichever comes first", () => {
    const kernel = emptyKernel();
    const own = held(kernel, cell, { x: 0 }, { formerly: ["old", "older"] });
    const [old1, older] = [
      { ...cell, name: "old" },
      { ...cell, name: "older" },
    ];
    const saves: [States, string, string][] = [
      [
        [
          [cell, { x: 1 }],
          [old1, { x: 2 }],
        ],
        "old/0",
        '"cell/0" comes under an older name as well',
      ],
      [
        [
          [old1, { x: 2 }],
          [cell, { x: 1 }],
        ],
        "old/0",
        '"cell/0" comes under an older name as well',
      ],
      [
        [
          [old1, { x: 2 }],
          [older, { x: 1 }],
        ],
        "older/0",
        '"cell/0" comes under an older name as well',
      ],
    ];
    for (const [states, section, detail] of saves) {
      const save = saveOf(states);
      const error = errorOf(() => kernel.restore(save));
      expect(placeOf(error, save, section)).toEqual(["SECTION_DUPLICATE", section, undefined, 0]);
      expect(error.detail).toBe(detail);
    }
    // The same old section twice.
    const once = saveOf([[old1, { x: 2 }]]);
    const [from, to] = [bodyOf(once, "old/0") - 17, bodyOf(once, "old/0") + 1 + 5];
    const twice = Uint8Array.of(...once.subarray(0, to), ...once.subarray(from, to), ...once.subarray(to));
    const error = errorOf(() => kernel.restore(twice));
    expect([error.code, error.location.section]).toEqual(["SECTION_DUPLICATE", "old/0"]);
    expect(own.loads).toBe(0);
  });
});

describe("a converted device", () => {
  const converting = (convert: (state: StateOf<typeof pair>, version: number) => unknown, more: object = {}) => {
    const kernel = emptyKernel();
    const own = held(
      kernel,
      left,
      { a: 0, data: new Uint8Array(2) },
      {
        formerly: [former(pair, { convert: convert as never })],
        ...more,
      },
    );
    return { kernel, own };
  };

  it("gets what the conversion made of the old state and its version", () => {
    const { kernel, own } = converting(({ a, b }, version) => ({ a: a + version, data: [b >> 8, b & 255] }));
    kernel.restore(saveOf(oldPair));
    expect(own.state).toEqual({ a: 9, data: Uint8Array.of(2, 3) });
    kernel.restore(
      saveOf([
        [
          { ...pair, version: 1 },
          { a: 7, b: 515 },
        ],
      ]),
    );
    expect(own.state).toEqual({ a: 8, data: Uint8Array.of(2, 3) });
  });

  it.each<[string, () => unknown, ErrorCode, string | undefined, string | undefined]>([
    [
      "throws",
      () => {
        throw new Error("boom");
      },
      "DEVICE_FAILED",
      undefined,
      "boom",
    ],
    [
      "throws no error",
      () => {
        throw "text";
      },
      "DEVICE_FAILED",
      undefined,
      "text",
    ],
    ["forgets a field", () => ({ data: [1, 2] }), "FIELD_MISSING", "a", undefined],
    ["gives a wrong type", () => ({ a: "x", data: [1, 2] }), "BITS_RANGE", "a", undefined],
    ["gives too much", () => ({ a: 256, data: [1, 2] }), "BITS_RANGE", "a", undefined],
    ["gives a wrong length", () => ({ a: 1, data: [1, 2, 3] }), "COUNT_MISMATCH", "data", undefined],
    ["gives nothing", () => undefined, "FIELD_MISSING", undefined, undefined],
    ["gives a promise", async () => ({ a: 1, data: [1, 2] }), "DEVICE_ASYNC", undefined, undefined],
    ["gives a promise that fails", async () => Promise.reject(new Error("late")), "DEVICE_ASYNC", undefined, undefined],
    [
      "refuses",
      () => {
        throw new MigrationError("DEVICE_CHECK", "no such thing", { path: "b", expected: "1" });
      },
      "DEVICE_CHECK",
      "b",
      undefined,
    ],
  ])("whose conversion %s names the old section, and nothing has changed", (_, convert, code, path, found) => {
    const { kernel, own } = converting(convert);
    const before = kernel.snapshot();
    const save = saveOf(oldPair);
    const error = errorOf(() => kernel.restore(save));
    expect(placeOf(error, save, "pair/0")).toEqual([code, "pair/0", path, 0]);
    expect([error.location.side, error.location.version]).toEqual(["destination", 2]);
    if (found !== undefined) expect(error.found).toBe(found);
    if (code !== "DEVICE_FAILED" && code !== "DEVICE_CHECK" && code !== "DEVICE_ASYNC")
      expect(error.detail).toContain('the state that it becomes for "left/0"');
    expect(own.loads).toBe(0);
    expect(kernel.snapshot()).toEqual(before);
  });

  it("that its check refuses names the old section and its beginning", () => {
    const seen: unknown[] = [];
    const { kernel, own } = converting(() => ({ a: 1, data: [1, 2] }), {
      check: (state: unknown) => {
        seen.push(state);
        // The old section has a field of this name too, which is another one.
        throw new MigrationError("DEVICE_CHECK", "planted", { path: "b" });
      },
    });
    const save = saveOf(oldPair);
    expect(
      placeOf(
        errorOf(() => kernel.restore(save)),
        save,
        "pair/0",
      ),
    ).toEqual(["DEVICE_CHECK", "pair/0", "b", 0]);
    expect(seen).toEqual([{ a: 1, data: Uint8Array.of(1, 2) }]);
    expect(own.loads).toBe(0);
  });

  it("may be amended by its check", () => {
    const { kernel, own } = converting(() => ({ a: 1, data: [1, 2] }), {
      check: (state: object) => ({ amended: { ...state, a: 50 }, note: "a" }),
    });
    const { notes } = kernel.restore(saveOf(oldPair));
    expect(own.state.a).toBe(50);
    expect(notes.map(({ code, section }) => `${code} ${section}`)).toContain("amended left/0");
  });

  it("is seen by the checks of those that wait for it", () => {
    const kernel = emptyKernel();
    const offers: unknown[] = [];
    held(
      kernel,
      cell,
      { x: 0 },
      {
        after: ["left"],
        check: (_: unknown, view: { offer(of: string): unknown }) => void offers.push(view.offer("left")),
      },
    );
    held(
      kernel,
      left,
      { a: 0, data: new Uint8Array(2) },
      {
        formerly: [former(pair, { convert: ({ a }) => ({ a, data: Uint8Array.of(1, 1) }) })],
        offer: ({ a }: { a: number }) => a * 10,
      },
    );
    kernel.restore(saveOf([[cell, { x: 1 }], ...oldPair]));
    expect(offers).toEqual([70]);
  });

  it("stands where it stood, with its own old description or the present one", () => {
    const kernel = emptyKernel();
    const own = held(
      kernel,
      cell,
      { x: 0 },
      {
        instance: 2,
        formerly: [
          former(pair, { path: "a/b", convert: ({ a }) => ({ x: a }) }),
          former(pair, { instance: 9, convert: ({ a }) => ({ x: a + 1 }) }),
          { name: "ticks", convert: ({ x }: { x: number }) => ({ x: x * 2 }) },
        ],
      },
    );
    kernel.restore(saveOf([[pair, { a: 7, b: 0 }, { path: "a/b" }]]));
    expect(own.state).toEqual({ x: 7 });
    kernel.restore(saveOf([[pair, { a: 7, b: 0 }, { instance: 9 }]]));
    expect(own.state).toEqual({ x: 8 });
    kernel.restore(saveOf([[{ ...cell, name: "ticks" }, { x: 21 }, { instance: 2 }]]));
    expect(own.state).toEqual({ x: 42 });
  });

  it("that the present description reads under another name must be complete as well", () => {
    const kernel = emptyKernel();
    held(kernel, cell, { x: 0 }, { formerly: [{ name: "ticks", convert: () => ({}) }] });
    const save = saveOf([[{ ...cell, name: "ticks" }, { x: 21 }]]);
    const error = errorOf(() => kernel.restore(save));
    expect(placeOf(error, save, "ticks/0")).toEqual(["FIELD_MISSING", "ticks/0", "x", 0]);
  });

  it("of another description without a conversion keeps its paths, and must be complete", () => {
    const same = vmstate({ name: "same", version: 1, fields: { pad: u32, x: u8 } });
    const less = vmstate({ name: "less", version: 1, fields: { pad: u32 } });
    const kernel = emptyKernel();
    let refuse = false;
    const own = held(
      kernel,
      cell,
      { x: 0 },
      {
        formerly: [{ description: same }, { description: less }],
        check: () => {
          if (refuse) throw new MigrationError("DEVICE_CHECK", "planted", { path: "x" });
        },
      },
    );
    const save = saveOf([[same, { pad: 1, x: 5 }]]);
    kernel.restore(save);
    expect(own.state).toEqual({ x: 5 });
    const incomplete = saveOf([[less, { pad: 1 }]]);
    expect(
      placeOf(
        errorOf(() => kernel.restore(incomplete)),
        incomplete,
        "less/0",
      ),
    ).toEqual(["FIELD_MISSING", "less/0", "x", 0]);
    refuse = true;
    expect(
      placeOf(
        errorOf(() => kernel.restore(save)),
        save,
        "same/0",
      ),
    ).toEqual(["DEVICE_CHECK", "same/0", "x", 4]);
  });
});
