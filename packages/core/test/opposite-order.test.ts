// Two machines that register the same devices in opposite order are the same machine: what says which device is which is
// its name, its instance and its place, never when it came.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createKernel,
  type DeviceInit,
  isMigrationError,
  type Kernel,
  u8,
  u16,
  virtualClock,
  vmstate,
} from "../src/index.ts";
import { memory } from "./machine.ts";

const port = vmstate({ name: "port", version: 1, fields: { x: u8 } });
const disk = vmstate({ name: "disk", version: 1, fields: { x: u16 } });
const early = vmstate({ name: "early", version: 1, fields: { x: u8 }, priority: "iommu" });

interface Part {
  readonly key: string;
  readonly description: typeof port;
  readonly place: Pick<DeviceInit<never>, "instance" | "path" | "after">;
}

const parts: readonly Part[] = [
  { key: "port/0", description: port, place: {} },
  { key: "port/1", description: port, place: { instance: 1 } },
  { key: "port/9", description: port, place: { instance: 9, after: ["disk"] } },
  { key: "slot-1/port/0", description: port, place: { path: "slot-1", after: [{ idstr: "port", instance: 1 }] } },
  { key: "slot-2/port/0", description: port, place: { path: "slot-2" } },
  { key: "disk/0", description: disk, place: {} },
  { key: "early/0", description: early, place: {} },
];

/** `first` is what the devices hold: each another value. */
function machine(order: readonly Part[], first: number) {
  const kernel = createKernel({
    machineType: "any-order",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const held: Record<string, number> = {};
  const store = { bytes: new Uint8Array(64).fill(first), staged: 0, committed: 0 };
  const [before, behind] = [order.slice(0, 2), order.slice(2)];
  const add = ({ key, description, place }: Part) => {
    held[key] = first + parts.findIndex((part) => part.key === key);
    kernel.device(description, {
      ...place,
      save: () => ({ x: held[key] as number }),
      load: ({ x }) => {
        held[key] = x;
      },
    });
  };
  before.forEach(add);
  kernel.iterable(memory(store));
  behind.forEach(add);
  return { kernel, held, store };
}

async function save({ kernel }: { kernel: Kernel }): Promise<Uint8Array> {
  const bytes: number[] = [];
  for await (const chunk of kernel.save()) bytes.push(...chunk);
  return Uint8Array.from(bytes);
}

const there = parts.toReversed();

describe("two machines in opposite order", () => {
  it("write their sections in opposite order, and read each other's", async () => {
    for (const [from, to] of [
      [parts, there],
      [there, parts],
    ] as const) {
      const source = machine(from, 10);
      const target = machine(to, 100);
      const report = await target.kernel.load(await save(source));
      expect(target.held).toEqual(source.held);
      expect(target.store.bytes).toEqual(source.store.bytes);
      const sent = report.sections.filter(({ phase }) => phase === "full").map(({ idstr }) => idstr);
      const own = to.filter(({ key }) => key !== "early/0").map(({ key }) => key.slice(0, key.lastIndexOf("/")));
      // The clock and what has a priority come first on either side.
      expect(sent).toEqual(["early", "timer", ...own.toReversed()]);
      for (const [one, other] of [
        ["disk/0", "port/9"],
        ["port/1", "slot-1/port/0"],
      ] as const) {
        expect(report.loadOrder.indexOf(one)).toBeLessThan(report.loadOrder.indexOf(other));
      }
    }
  });

  it("read each other's snapshots, there and back", () => {
    const [source, target] = [machine(parts, 10), machine(there, 100)];
    const before = source.kernel.snapshot();
    target.kernel.restore(before);
    expect(target.held).toEqual(source.held);
    const back = target.kernel.snapshot();
    expect(back).not.toEqual(before);
    const third = machine(parts, 200);
    third.kernel.restore(back);
    expect(third.kernel.snapshot()).toEqual(before);
  });

  it("in any order, too", () => {
    const order = fc.shuffledSubarray([...parts], { minLength: parts.length, maxLength: parts.length });
    fc.assert(
      fc.property(order, order, (one, other) => {
        const [source, target] = [machine(one, 10), machine(other, 100)];
        target.kernel.restore(source.kernel.snapshot());
        expect(target.held).toEqual(source.held);
        expect(target.store.bytes).toEqual(source.store.bytes);
      }),
      { seed: 3, numRuns: 60 },
    );
  });

  it("have manifests that differ in nothing but order", () => {
    const sections = (order: readonly Part[]) =>
      machine(order, 1)
        .kernel.manifest()
        .sections.toSorted((a, b) => (`${a.idstr}/${a.instance}` < `${b.idstr}/${b.instance}` ? -1 : 1));
    expect(sections(parts)).toEqual(sections(there));
  });
});

describe("what cannot be told apart", () => {
  const init = (x: number, log: number[] = []) => ({
    save: () => ({ x }),
    load: (state: { x: number }) => void log.push(state.x),
  });

  it("is refused when it is registered", () => {
    const { kernel } = machine([], 1);
    kernel.device(port, init(1));
    const code = (work: () => unknown) => {
      try {
        work();
      } catch (error) {
        if (isMigrationError(error)) return [error.code, error.location.side, error.location.section];
        throw error;
      }
      return [];
    };
    expect(code(() => kernel.device(port, init(2)))).toEqual(["INSTANCE_AMBIGUOUS", "define", "port/0"]);
    expect(code(() => kernel.device(port, { ...init(2), instance: 0 }))).toEqual([
      "SECTION_DUPLICATE",
      "define",
      "port/0",
    ]);
    kernel.device(port, { ...init(2), path: "a" });
    expect(code(() => kernel.device(port, { ...init(2), path: "a" }))).toEqual([
      "SECTION_DUPLICATE",
      "define",
      "a/port/0",
    ]);
    kernel.device(port, { ...init(2), instance: "auto" });
  });

  it('is told apart by the order alone with instance "auto", and opposite machines exchange it wrongly', () => {
    const build = (values: number[]) => {
      const { kernel } = machine([], 1);
      const logs = values.map((x) => {
        const log: number[] = [];
        kernel.device(port, { ...init(x, log), instance: "auto" });
        return log;
      });
      return { kernel, logs };
    };
    const target = build([0, 0]);
    target.kernel.restore(build([5, 6]).kernel.snapshot());
    // What was registered first gets what was registered first: right only where both have the same order.
    expect(target.logs).toEqual([[5], [6]]);
  });
});
