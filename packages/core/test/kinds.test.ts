// Hot-plug: devices that a stream or a manifest names are made, and until the load has succeeded the machine knows
// nothing of them.
import { describe, expect, it } from "vitest";
import {
  createKernel,
  type DeviceInit,
  isMigrationError,
  type Kernel,
  MigrationError,
  type PluggedDevice,
  type Registration,
  type StateOf,
  u8,
  virtualClock,
  vmstate,
} from "../src/index.ts";

const card = vmstate({ name: "card", version: 2, minimumVersion: 1, fields: { x: u8 } });
const base = vmstate({ name: "base", version: 1, fields: { x: u8 } });
type Card = StateOf<typeof card>;
type Hooks = Partial<PluggedDevice<Card>>;

interface Rig {
  readonly kernel: Kernel;
  readonly log: string[];
  readonly cards: Map<string, Registration<Card>>;
  readonly held: Record<string, number>;
  /** What the next save takes of the device; put at ids that later ones must not take over. */
  add(name: string, x: number, more?: Partial<DeviceInit<Card>>): Registration<Card>;
}

/** A machine with a `base`; `hooks` are those of the cards that its kind makes. */
function rig({ hooks = {}, isBare = false }: { hooks?: Hooks; isBare?: boolean } = {}): Rig {
  let now = 0n;
  const kernel = createKernel({
    machineType: "slots",
    clock: virtualClock(() => ++now),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const log: string[] = [];
  const held: Record<string, number> = {};
  const cards = new Map<string, Registration<Card>>();
  const own = (key: string) => ({
    save: () => ({ x: held[key] as number }),
    load: (state: Card) => {
      log.push(`load ${key} ${state.x}`);
      held[key] = state.x;
    },
  });
  const add: Rig["add"] = (name, x, more = {}) => {
    const key = [
      ...(more.path === undefined ? [] : [more.path]),
      `${name}/${more.path === undefined ? (more.instance ?? 0) : 0}`,
    ].join("/");
    held[key] = x;
    return kernel.device({ ...card, name }, { ...own(key), ...more });
  };
  add("base", 1);
  if (!isBare) {
    kernel.kind(card, (idstr, instance) => {
      const key = `${idstr}/${instance}`;
      log.push(`create ${key}`);
      return {
        ...own(key),
        plugged: (registration) => {
          log.push(`plugged ${key}`);
          cards.set(key, registration);
        },
        unplugged: () => {
          log.push(`unplugged ${key}`);
          cards.delete(key);
          delete held[key];
        },
        ...hooks,
      };
    });
  }
  return { kernel, log, cards, held, add };
}

/** A save with cards in these places. */
function saveWith(...places: Partial<DeviceInit<Card>>[]): Uint8Array {
  const { kernel, add } = rig({ isBare: true });
  for (const [i, place] of places.entries()) add("card", 40 + i, place);
  return kernel.snapshot();
}

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}

async function rejection(work: Promise<unknown>): Promise<MigrationError> {
  return await work.then(
    () => {
      throw new Error("no error");
    },
    (error: unknown) => {
      if (isMigrationError(error)) return error;
      throw error;
    },
  );
}

/** Whether the machine is as before: its devices, what they hold, and the id that the next one gets. */
function expectUntouched({ kernel, cards, held }: Rig): void {
  expect(kernel.manifest().sections.map(({ idstr }) => idstr)).toEqual(["timer", "base"]);
  expect(held).toEqual({ "base/0": 1 });
  expect(cards.size).toBe(0);
  const next = kernel.device({ ...base, name: "next" }, { save: () => ({ x: 0 }), load: () => {} });
  expect(next.sectionId).toBe(2);
  next.remove();
}

const calls = (log: readonly string[], what: string): string[] => log.filter((line) => line.startsWith(`${what} `));

describe("a kind", () => {
  it("makes the devices that a stream names, and they are part of the machine", async () => {
    const of = rig();
    const report = of.kernel.restore(saveWith({ instance: 5 }, { path: "slot-1" }, { path: "a/b" }));
    expect(report.loadOrder).toEqual(["timer/0", "base/0", "card/5", "slot-1/card/0", "a/b/card/0"]);
    expect(report.notes.filter(({ code }) => code === "plugged").map(({ section }) => section)).toEqual([
      "card/5",
      "slot-1/card/0",
      "a/b/card/0",
    ]);
    expect(of.held).toEqual({ "base/0": 1, "card/5": 40, "slot-1/card/0": 41, "a/b/card/0": 42 });
    expect(of.log).toEqual([
      "create card/5",
      "create slot-1/card/0",
      "create a/b/card/0",
      "load base/0 1",
      "plugged card/5",
      "load card/5 40",
      "plugged slot-1/card/0",
      "load slot-1/card/0 41",
      "plugged a/b/card/0",
      "load a/b/card/0 42",
    ]);
    expect(of.kernel.manifest().sections.map(({ idstr, instance }) => `${idstr}/${instance}`)).toEqual([
      "timer/0",
      "base/0",
      "card/5",
      "slot-1/card/0",
      "a/b/card/0",
    ]);
    // It saves them, and loads into them.
    const again = of.kernel.snapshot();
    expect(again).toEqual(saveWith({ instance: 5 }, { path: "slot-1" }, { path: "a/b" }));
    of.held["card/5"] = 99;
    of.log.length = 0;
    expect(of.kernel.restore(again).notes.filter(({ code }) => code === "plugged")).toEqual([]);
    expect(of.held["card/5"]).toBe(40);
    expect(calls(of.log, "create")).toEqual([]);
    // Each can be taken out by its registration, and comes again with the next stream.
    for (const one of of.cards.values()) one.remove();
    expect(of.kernel.manifest().sections.length).toBe(2);
    expect(errorOf(() => rig({ isBare: true }).kernel.restore(again)).code).toBe("SECTION_UNKNOWN");
    of.kernel.restore(again);
    expect(of.held["a/b/card/0"]).toBe(42);
  });

  it("gives them ids that no device had before", () => {
    const of = rig();
    of.add("other", 1).remove();
    of.kernel.restore(saveWith({ path: "a" }, { path: "b" }));
    expect([...of.cards.values()].map(({ sectionId }) => sectionId)).toEqual([3, 4]);
    expect(of.add("next", 1).sectionId).toBe(5);
  });

  it("makes nothing for a stream that names none", () => {
    const of = rig();
    of.kernel.restore(saveWith());
    expect(of.log).toEqual(["load base/0 1"]);
    expectUntouched(of);
  });

  it("does not serve another name, nor an instance that a place cannot have", () => {
    const of = rig();
    for (const name of ["ard", "xcard", "slot/xcard", "card/x", "cards", "card/"]) {
      const other = rig({ isBare: true });
      other.add(name, 1);
      const error = errorOf(() => of.kernel.restore(other.kernel.snapshot()));
      expect([error.code, error.location.section]).toEqual(["SECTION_UNKNOWN", `${name}/0`]);
    }
    // A hand-made stream: a device with a path and an instance.
    const other = rig({ isBare: true });
    other.add("slot/card", 1, { instance: 3 });
    const error = errorOf(() => of.kernel.restore(other.kernel.snapshot()));
    expect([error.code, error.location.section]).toEqual(["SECTION_UNKNOWN", "slot/card/3"]);
    expect(calls(of.log, "create")).toEqual([]);
    expectUntouched(of);
  });

  it("is found by its longest name, slashes and all", () => {
    const of = rig();
    const seen: string[] = [];
    for (const name of ["bus/card", "x/bus/card", "us/card"]) {
      of.kernel.kind({ ...card, name }, (idstr, instance) => {
        seen.push(`${name}: ${idstr}/${instance}`);
        return { save: () => ({ x: 0 }), load: () => {} };
      });
    }
    const other = rig({ isBare: true });
    for (const [name, place] of [
      ["bus/card", {}],
      ["bus/card", { path: "0" }],
      ["x/bus/card", { path: "1" }],
      ["card", { path: "2/us" }],
      ["bus/card", { instance: 7 }],
    ] as const) {
      other.add(name, 9, place);
    }
    of.kernel.restore(other.kernel.snapshot());
    expect(seen).toEqual([
      "bus/card: bus/card/0",
      "bus/card: 0/bus/card/0",
      "x/bus/card: 1/x/bus/card/0",
      "us/card: 2/us/card/0",
      "bus/card: bus/card/7",
    ]);
    expect(of.kernel.snapshot().length).toBeGreaterThan(0);
    expect(
      errorOf(() => of.kernel.kind({ ...card, name: "us/card" }, () => ({ save: () => ({ x: 0 }), load() {} }))).code,
    ).toBe("SECTION_DUPLICATE");
  });

  it("comes behind everything that is there: present, former and legacy names", () => {
    const of = rig();
    const plain = of.add("card", 1, { instance: 3 });
    const former = of.add("new", 2, { formerly: [{ name: "card", instance: 4 }] });
    const legacy = of.add("card", 3, { path: "slot", instance: 6 });
    const other = rig({ isBare: true });
    other.add("card", 11, { instance: 3 });
    other.add("card", 12, { instance: 4 });
    other.add("card", 13, { instance: 6 });
    of.kernel.restore(other.kernel.snapshot());
    expect(calls(of.log, "create")).toEqual([]);
    expect([plain, former, legacy].map(({ idstr, instance }) => of.held[`${idstr}/${instance}`])).toEqual([11, 12, 13]);
  });

  it("keeps a device with a place and one without apart, whichever comes first", () => {
    for (const places of [
      [{ path: "slot" }, {}],
      [{}, { path: "slot" }],
    ]) {
      const of = rig();
      of.kernel.restore(saveWith(...places));
      expect([...of.cards.keys()].toSorted()).toEqual(["card/0", "slot/card/0"]);
      expect(of.held[places[0]?.path === undefined ? "card/0" : "slot/card/0"]).toBe(40);
    }
  });

  it("refuses a version, a second section and iterable data of what it makes", () => {
    const of = rig();
    const newer = rig({ isBare: true });
    newer.kernel.device({ ...card, version: 3 }, { save: () => ({ x: 1 }), load: () => {} });
    const error = errorOf(() => of.kernel.restore(newer.kernel.snapshot()));
    expect([error.code, error.location.section, error.found]).toEqual(["SECTION_VERSION", "card/0", "3"]);
    const older = rig({ isBare: true });
    older.kernel.device({ ...card, version: 0, minimumVersion: 0 }, { save: () => ({ x: 1 }), load: () => {} });
    expect(errorOf(() => of.kernel.restore(older.kernel.snapshot())).code).toBe("SECTION_VERSION");
    const save = saveWith({});
    // Type, id, name, instance and version; the byte; the footer. The EOF byte follows.
    const section = save.slice(save.length - 1 - (1 + 4 + 5 + 4 + 4 + 1 + 5), -1);
    const twice = errorOf(() => of.kernel.restore(Uint8Array.of(...save.subarray(0, -1), ...section, 0)));
    expect([twice.code, twice.location.section]).toEqual(["SECTION_DUPLICATE", "card/0"]);
    const iterable = rig({ isBare: true });
    iterable.kernel.iterable({
      idstr: "card",
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
    expect(errorOf(() => of.kernel.restore(iterable.kernel.snapshot())).code).toBe("SECTION_ORDER");
    expectUntouched(of);
  });
});

describe("until the load has succeeded the machine knows nothing of what a kind made:", () => {
  const save = saveWith({ path: "a" }, { path: "b" });

  it.each([0, 1, 6, 20])("a stream that ends %i bytes early", (bytes) => {
    const of = rig();
    if (bytes === 0) {
      const attempt = of.kernel.incoming();
      attempt.push(save);
      attempt.end();
      attempt.discard();
    } else expect(errorOf(() => of.kernel.restore(save.subarray(0, -bytes))).code).toBe("STREAM_TRUNCATED");
    expect(calls(of.log, "create").length).toBeGreaterThan(0);
    expect([calls(of.log, "plugged"), calls(of.log, "unplugged")]).toEqual([[], []]);
    expectUntouched(of);
  });

  it("a bad section after it", () => {
    const of = rig();
    const other = rig({ isBare: true });
    other.add("card", 1);
    other.add("unknown", 1);
    expect(errorOf(() => of.kernel.restore(other.kernel.snapshot())).code).toBe("SECTION_UNKNOWN");
    expectUntouched(of);
  });

  it("a check that refuses", () => {
    const of = rig({
      hooks: {
        check: () => {
          throw new MigrationError("DEVICE_CHECK", "planted", { path: "x" });
        },
      },
    });
    const error = errorOf(() => of.kernel.restore(save));
    expect([error.code, error.location.section, error.location.path]).toEqual(["DEVICE_CHECK", "a/card/0", "x"]);
    expect([calls(of.log, "plugged"), calls(of.log, "unplugged"), calls(of.log, "load")]).toEqual([[], [], []]);
    expectUntouched(of);
  });

  it("a load that throws", () => {
    const of: Rig = rig({
      hooks: {
        load: (state) => {
          if (state.x === 41) throw new Error("planted");
        },
      },
    });
    const error = errorOf(() => of.kernel.restore(save));
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "b/card/0", "planted"]);
    expect(calls(of.log, "plugged")).toEqual(["plugged a/card/0", "plugged b/card/0"]);
    expect(calls(of.log, "unplugged")).toEqual(["unplugged b/card/0", "unplugged a/card/0"]);
    expectUntouched(of);
  });

  it("another device's load that throws", () => {
    const of = rig();
    let isFirst = true;
    of.kernel.device(
      { ...card, name: "last", priority: "low" },
      {
        save: () => ({ x: 0 }),
        load: () => {
          if (!isFirst) return;
          isFirst = false;
          throw new Error("planted");
        },
      },
    );
    const other = rig({ isBare: true });
    other.add("card", 1);
    other.add("last", 1);
    const error = errorOf(() => of.kernel.restore(other.kernel.snapshot()));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "last/0"]);
    expect(of.kernel.manifest().sections.map(({ idstr }) => idstr)).toEqual(["timer", "base", "last"]);
    expect(of.log.slice(1)).toEqual([
      "load base/0 1",
      "plugged card/0",
      "load card/0 1",
      "unplugged card/0",
      "load base/0 1",
    ]);
    expect(of.held).toEqual({ "base/0": 1 });
  });

  it("a ready that fails", async () => {
    const of = rig({ hooks: { ready: () => Promise.reject(new Error("cold")) } });
    const error = await rejection(of.kernel.load(save));
    expect([error.code, error.location.section, error.found]).toEqual(["DEVICE_FAILED", "a/card/0", "cold"]);
    expect(calls(of.log, "unplugged")).toEqual(["unplugged b/card/0", "unplugged a/card/0"]);
    expectUntouched(of);
  });

  it.each<[string, NonNullable<Hooks["plugged"]>, string]>([
    [
      "a plugged that throws",
      () => {
        throw new Error("no slot");
      },
      "no slot",
    ],
    ["a plugged that gives a promise", (async () => {}) as never, "DEVICE_ASYNC"],
  ])("%s", (_, plugged, found) => {
    const of = rig({ hooks: { plugged } });
    const error = errorOf(() => of.kernel.restore(save));
    expect([error.code, error.location.section]).toEqual(["DEVICE_FAILED", "a/card/0"]);
    expect(error.found).toContain(found);
    expect(calls(of.log, "unplugged")).toEqual(["unplugged a/card/0"]);
    expectUntouched(of);
  });

  it.each<[string, () => void, string]>([
    [
      "throws",
      () => {
        throw new Error("stuck");
      },
      "Error: stuck",
    ],
    ["gives a promise", async () => Promise.reject(new Error("late")), "unplugged returned a promise"],
  ])("an unplugged that %s: the machine is torn, and the device is out", (_, unplugged, failure) => {
    const of = rig({
      hooks: {
        load: () => {
          throw new Error("planted");
        },
        unplugged,
      },
    });
    const error = errorOf(() => of.kernel.restore(save));
    expect([error.code, error.location.section, error.found]).toEqual(["MACHINE_TORN", "a/card/0", "planted"]);
    const [first, second] = (error.cause as AggregateError).errors.map(String);
    expect(first).toBe("Error: planted");
    expect(second).toContain(failure);
    expect(of.kernel.manifest().sections.length).toBe(2);
  });

  it("a factory that throws, registers by itself, or makes nothing", () => {
    for (const [make, code, found] of [
      [
        () => {
          throw new Error("no room");
        },
        "DEVICE_FAILED",
        "no room",
      ],
      [
        () => {
          throw new MigrationError("DEVICE_CHECK", "no room");
        },
        "DEVICE_CHECK",
        undefined,
      ],
      [() => undefined, "DEVICE_FAILED", undefined],
      [(of: Rig) => of.add("card", 1, { path: "a" }), "REGISTRY_FROZEN", undefined],
      [(of: Rig) => of.kernel.kind({ ...card, name: "k" }, () => ({}) as never), "REGISTRY_FROZEN", undefined],
    ] as const) {
      const of = rig({ isBare: true });
      of.kernel.kind(card, (() => make(of)) as never);
      const error = errorOf(() => of.kernel.restore(save));
      expect([error.code, error.location.section]).toEqual([code, "a/card/0"]);
      if (found !== undefined) expect(error.found).toBe(found);
      delete of.held["a/card/0"];
      expectUntouched(of);
    }
  });

  it("a device that registers others when it is plugged in", () => {
    const of: Rig = rig({ hooks: { plugged: () => void of.add("child", 1) } });
    const error = errorOf(() => of.kernel.restore(save));
    expect(error.code).toBe("DEVICE_FAILED");
    expect(isMigrationError(error.cause) && error.cause.code).toBe("REGISTRY_FROZEN");
    delete of.held["child/0"];
    expectUntouched(of);
  });
});

describe("a plugged device", () => {
  it("waits for others, and others for it", () => {
    const of = rig({ hooks: { after: ["base", "late"], offer: (state) => state.x * 2 } });
    const seen: unknown[] = [];
    of.add("late", 1);
    of.kernel.kind({ ...card, name: "user" }, () => ({
      save: () => ({ x: 0 }),
      after: ["slot/card"],
      load: () => of.log.push("load user"),
      check: (_, view) => void seen.push(view.offer("slot/card")),
    }));
    const source = rig({ isBare: true });
    source.add("user", 3);
    source.add("card", 21, { path: "slot" });
    source.add("late", 4);
    const report = of.kernel.restore(source.kernel.snapshot());
    expect(report.loadOrder).toEqual(["timer/0", "base/0", "late/0", "slot/card/0", "user/0"]);
    expect(seen).toEqual([42]);
    expect(calls(of.log, "load")).toEqual(["load base/0 1", "load late/0 4", "load slot/card/0 21", "load user"]);
    // What waits for it cannot be without it.
    of.cards.get("slot/card/0")?.remove();
    const error = errorOf(() => of.kernel.snapshot());
    expect([error.code, error.location.section, error.found]).toEqual(["DEPENDENCY_UNKNOWN", "user/0", "slot/card"]);
  });

  it("that waits for what did not come is refused", () => {
    const of = rig({ hooks: { after: ["bus"] } });
    const error = errorOf(() => of.kernel.restore(saveWith({ path: "a" })));
    expect([error.code, error.location.section, error.found]).toEqual(["DEPENDENCY_UNKNOWN", "a/card/0", "bus"]);
    expectUntouched(of);
  });

  it("cannot be waited for by a device that was there before it", () => {
    const of = rig();
    of.kernel.device({ ...base, name: "early" }, { save: () => ({ x: 0 }), load: () => {}, after: ["a/card"] });
    expect(errorOf(() => of.kernel.incoming()).code).toBe("DEPENDENCY_UNKNOWN");
  });
});

describe("several loads at once", () => {
  it("that make the same device: the first to end has it, the other is refused and changes nothing", async () => {
    const of = rig();
    const [first, second] = [of.kernel.incoming(), of.kernel.incoming()];
    for (const attempt of [first, second]) attempt.push(saveWith({ path: "a" }));
    for (const attempt of [first, second]) attempt.end();
    await first.commit();
    expect(of.held["a/card/0"]).toBe(40);
    of.held["a/card/0"] = 50;
    const error = await rejection(second.commit());
    expect(error.code).toBe("REGISTRY_FROZEN");
    expect(of.held["a/card/0"]).toBe(50);
    expect(calls(of.log, "plugged")).toEqual(["plugged a/card/0"]);
    of.kernel.restore(saveWith({ path: "a" }));
    expect(of.held["a/card/0"]).toBe(40);
  });

  it("of which one knew nothing of the device that the other made", async () => {
    const of = rig();
    const [first, second] = [of.kernel.incoming(), of.kernel.incoming()];
    first.push(saveWith({ path: "a" }));
    second.push(saveWith());
    first.end();
    second.end();
    await first.commit();
    expect((await rejection(second.commit())).code).toBe("REGISTRY_FROZEN");
    of.cards.get("a/card/0")?.remove();
    expect(of.kernel.manifest().sections.length).toBe(2);
  });

  it("of which the first is thrown away", async () => {
    const of = rig();
    const [first, second] = [of.kernel.incoming(), of.kernel.incoming()];
    for (const attempt of [first, second]) attempt.push(saveWith({ path: "a" }));
    first.discard();
    second.end();
    await second.commit();
    expect([...of.cards.keys()]).toEqual(["a/card/0"]);
  });
});

describe("a fork", () => {
  it("has what was made so far, and makes more for itself", async () => {
    const of = rig();
    const save = saveWith({ path: "a" }, { path: "b" }, { path: "c" });
    const cut = save.length - 1 - 2 * (1 + 4 + 7 + 4 + 4 + 1 + 5);
    const attempt = of.kernel.incoming();
    attempt.push(save.subarray(0, cut));
    const fork = attempt.fork();
    fork.push(save.subarray(cut));
    fork.end();
    await fork.prepare();
    expect(calls(of.log, "create")).toEqual(["create a/card/0", "create b/card/0", "create c/card/0"]);
    // The attempt itself knows only of the first: another stream goes on from here.
    attempt.push(saveWith({ path: "a" }).subarray(cut));
    attempt.end();
    await attempt.prepare();
    fork.discard();
    attempt.discard();
    expectUntouched(of);
  });
});

describe("plug", () => {
  const manifest = rig({ isBare: true });
  manifest.add("card", 0, { path: "a" });
  manifest.add("card", 0, { instance: 2 });
  manifest.add("unknown", 0);
  const named = manifest.kernel.manifest();

  it("makes what a manifest names and the machine lacks, and gives the registrations", () => {
    const of = rig();
    of.held["card/2"] = 5;
    of.held["a/card/0"] = 6;
    const made = of.kernel.plug(named);
    expect(made.map(({ idstr, instance }) => `${idstr}/${instance}`)).toEqual(["a/card/0", "card/2"]);
    expect(of.log).toEqual(["create a/card/0", "plugged a/card/0", "create card/2", "plugged card/2"]);
    expect(of.kernel.plug(named)).toEqual([]);
    const bytes = of.kernel.snapshot();
    made[0]?.remove();
    expect(of.kernel.plug(named).map(({ idstr }) => idstr)).toEqual(["a/card"]);
    of.kernel.restore(bytes);
    expect(calls(of.log, "load")).toEqual(["load base/0 1", "load card/2 5", "load a/card/0 6"]);
  });

  it("is all or none", () => {
    let count = 0;
    const of = rig({
      hooks: {
        plugged: () => {
          if (++count === 2) throw new Error("full");
        },
      },
    });
    const error = errorOf(() => of.kernel.plug(named));
    expect([error.code, error.location.side, error.location.section, error.found]).toEqual([
      "DEVICE_FAILED",
      "destination",
      "card/2",
      "full",
    ]);
    expect(calls(of.log, "unplugged")).toEqual(["unplugged card/2", "unplugged a/card/0"]);
    expectUntouched(of);
  });

  it("says that the machine is torn where a device does not go out again", () => {
    const of = rig({
      hooks: {
        plugged: ({ instance }) => {
          if (instance === 2) throw new Error("full");
        },
        unplugged: () => {
          throw new Error("stuck");
        },
      },
    });
    const error = errorOf(() => of.kernel.plug(named));
    expect([error.code, error.location.section]).toEqual(["MACHINE_TORN", "card/2"]);
    expect((error.cause as AggregateError).errors.map(String)).toEqual(["Error: full", "Error: stuck", "Error: stuck"]);
    expectUntouched(of);
  });

  it("is frozen for what it calls, and thaws", () => {
    const of = rig({ isBare: true });
    let isFirst = true;
    of.kernel.kind(card, () => {
      if (isFirst) {
        isFirst = false;
        of.add("card", 1, { path: "a" });
      }
      return { save: () => ({ x: 1 }), load: () => {} };
    });
    const error = errorOf(() => of.kernel.plug(named));
    expect([error.code, error.location.section]).toEqual(["REGISTRY_FROZEN", "a/card/0"]);
    delete of.held["a/card/0"];
    expectUntouched(of);
    expect(of.kernel.plug(named).length).toBe(2);
  });

  it("leaves alone what the machine reads under an older name", () => {
    const of = rig();
    of.add("new", 1, { formerly: [{ name: "card", path: "a" }] });
    expect(of.kernel.plug(named).map(({ idstr }) => idstr)).toEqual(["card"]);
  });
});

describe("a plugged device that had another name", () => {
  it("is in its own place, and both attempts cannot have it", () => {
    const of = rig({ hooks: { formerly: [{ name: "older", instance: 9 }] } });
    // Two cards claim one old name: the second cannot be made, and nothing of either stays.
    const error = errorOf(() => of.kernel.restore(saveWith({ path: "a" }, { path: "b" })));
    expect([error.code, error.location.section]).toEqual(["SECTION_DUPLICATE", "older/9"]);
    expectUntouched(of);
    of.kernel.restore(saveWith({ path: "a" }));
    expect(of.kernel.manifest().reads.map(({ idstr, into }) => `${idstr} ${into}`)).toEqual(["older a/card/0"]);
    of.cards.get("a/card/0")?.remove();
    expect(of.kernel.manifest().reads).toEqual([]);
  });
});
