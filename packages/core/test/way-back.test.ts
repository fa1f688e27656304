// The way back of a restore: what devices held before, whatever it is that they hand out, and whether or not a stream
// could carry it.
import { describe, expect, it } from "vitest";
import {
  array,
  createKernel,
  customField,
  isMigrationError,
  type Kernel,
  type MigrationError,
  range,
  struct,
  subsection,
  tmp,
  u8,
  u16,
  varray,
  virtualClock,
  vmstate,
} from "../src/index.ts";

const slot = vmstate({ name: "slot", version: 1, fields: { base: u16, bytes: array(u8, 2) } });
const card = vmstate({
  name: "card",
  version: 1,
  fields: { level: range(u8, 0, 9), count: u8, list: varray("count", u16), slots: array(struct(slot), 2) },
  subsections: {
    extra: subsection({
      name: "card/extra",
      version: 1,
      fields: { words: array(u16, 2) },
      needed: (own) => own.words[0] !== 0,
      absent: { words: Uint16Array.of(0, 0) },
    }),
  },
});
const last = vmstate({ name: "last", version: 1, fields: { x: u8 } });

/** Hands out itself, with all that a live device has beside its state. */
class Card {
  level = 1;
  count = 2;
  list = Uint16Array.of(5, 6);
  slots = [
    { base: 1, bytes: Uint8Array.of(1, 2), owner: this as unknown },
    { base: 2, bytes: Uint8Array.of(3, 4), owner: this as unknown },
  ];
  extra = { words: Uint16Array.of(7, 8), owner: this as unknown };
  readonly kernel: Kernel;
  readonly self = this;
  readonly loaded: object[] = [];
  onLoad = (): void => {};
  constructor(kernel: Kernel) {
    this.kernel = kernel;
    kernel.device(card, {
      save: () => this,
      load: (state) => {
        this.loaded.push(state);
        this.onLoad();
      },
    });
  }
}

function machine() {
  const kernel = createKernel({
    machineType: "m",
    clock: virtualClock(() => 0n),
    machine: { pause: () => {}, resume: () => {}, reset: () => {} },
  });
  const device = new Card(kernel);
  const fault = { armed: false };
  kernel.device(last, {
    after: ["card"],
    save: () => ({ x: 1 }),
    load: () => {
      if (!fault.armed) return;
      fault.armed = false;
      throw new Error("planted");
    },
  });
  return { kernel, device, fault };
}

const held = {
  level: 1,
  count: 2,
  list: Uint16Array.of(5, 6),
  slots: [
    { base: 1, bytes: Uint8Array.of(1, 2) },
    { base: 2, bytes: Uint8Array.of(3, 4) },
  ],
  extra: { words: Uint16Array.of(7, 8) },
};

describe("the way back", () => {
  it("gives a device that hands out itself its described names, as copies", () => {
    const { kernel, device, fault } = machine();
    const snapshot = kernel.snapshot();
    kernel.restore(snapshot);
    expect(device.loaded).toEqual([held]);
    fault.armed = true;
    device.onLoad = () => {
      device.list.fill(0);
      device.slots[0]?.bytes.fill(0);
    };
    expect(() => kernel.restore(snapshot)).toThrow(/DEVICE_FAILED/);
    expect(device.loaded).toEqual([held, held, held]);
    expect(device.loaded[2]).not.toBe(device.loaded[1]);
  });

  it("leads to where no stream could lead: a state that could not be saved does not keep the machine in it", () => {
    const { kernel, device, fault } = machine();
    const snapshot = kernel.snapshot();
    const spoils: [string, () => object][] = [
      ["a value out of its range", () => ({ level: 200 })],
      ["a subsection that would be lost", () => ({ extra: { words: Uint16Array.of(0, 9), owner: device } })],
      ["a count that is wrong", () => ({ count: 7 })],
    ];
    for (const [what, spoil] of spoils) {
      Object.assign(device, { ...held, slots: device.slots, extra: { ...held.extra, owner: device } }, spoil());
      expect(() => kernel.snapshot(), what).toThrow();
      kernel.restore(snapshot);
      expect(device.loaded.at(-1), what).toEqual(held);
      fault.armed = true;
      expect(() => kernel.restore(snapshot), what).toThrow(/DEVICE_FAILED/);
      const { owner: _, ...extra } = (spoil() as { extra?: { owner: unknown } }).extra ?? { owner: 0, ...held.extra };
      expect(device.loaded.at(-1), what).toEqual({ ...held, ...spoil(), extra });
    }
  });

  it("gives back what only the live device has: a hook that the wire goes through changes nothing here", () => {
    const { kernel, fault } = machine();
    const queue = vmstate({
      name: "queue",
      version: 1,
      fields: { inflight: u8, level: range(u8, 0, 9) },
      preSave: (state) => ({ ...state, inflight: 0 }),
    });
    const outer = vmstate({ name: "outer", version: 1, fields: { queue: struct(queue) } });
    const nested = vmstate({
      name: "nested",
      version: 1,
      fields: {
        half: tmp<typeof slot, { twice: number }>(slot, {
          save: ({ twice }) => ({ base: twice >> 1, bytes: Uint8Array.of(0, 0) }),
          load: ({ base }) => ({ twice: 2 * base }),
        }),
      },
    });
    const held = { queue: { inflight: 3, level: 1 }, outer: { queue: { inflight: 4, level: 2 } }, half: { twice: 7 } };
    kernel.device(queue, { save: () => held.queue, load: (state) => Object.assign(held, { queue: state }) });
    kernel.device(outer, { save: () => held.outer, load: (state) => Object.assign(held, { outer: state }) });
    kernel.device(nested, {
      save: () => ({ half: held.half }),
      load: (state) => Object.assign(held, { half: state.half }),
    });
    const before = structuredClone(held);
    const snapshot = kernel.snapshot();
    kernel.device(last, {
      instance: 1,
      after: ["nested", "outer", "queue"],
      save: () => ({ x: 1 }),
      load: () => {
        throw new Error("planted");
      },
    });
    expect(fault.armed).toBe(false);
    const bytes = kernel.snapshot();
    expect(bytes.length).toBeGreaterThan(snapshot.length);
    expect(errorOf(() => kernel.restore(bytes)).code).toBe("MACHINE_TORN");
    expect(held).toEqual(before);
  });

  it("keeps in bytes what is no plain data", () => {
    const { kernel, fault } = machine();
    const pairs = customField<Map<number, number>, { left: number; made: Map<number, number>; key?: number }>({
      kind: "pairs",
      begin: () => ({ left: 2, made: new Map() }),
      next: ({ left }) => (left > 0 ? u8 : undefined),
      take: (steps, value) => {
        if (steps.key === undefined) steps.key = value as number;
        else steps.made.set(steps.key, value as number);
        steps.left--;
      },
      end: ({ made }) => made,
      encode: (map) => [...map].flatMap(([key, value]) => [key, value].map((one) => ({ field: u8, value: one }))),
    });
    const table = vmstate({ name: "table", version: 1, fields: { pairs } });
    const held = { pairs: new Map([[1, 2]]) };
    kernel.device(table, { save: () => held, load: (state) => Object.assign(held, state) });
    const snapshot = kernel.snapshot();
    held.pairs = new Map([[3, 4]]);
    fault.armed = true;
    expect(errorOf(() => kernel.restore(snapshot)).code).toBe("DEVICE_FAILED");
    expect(held.pairs).toEqual(new Map([[3, 4]]));
  });
});

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
