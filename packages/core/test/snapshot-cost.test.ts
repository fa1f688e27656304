// What a snapshot and a restore make: nothing for a field. Counted, and where an engine tells (V8), weighed.

import { markedList } from "@godwit/test-support/plans";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  array,
  bool,
  buffer,
  createKernel,
  type Description,
  decodeState,
  encodeState,
  type Field,
  type Kernel,
  range,
  struct,
  subsection,
  u8,
  u16,
  u32,
  u64,
  u64n,
  unused,
  varray,
  virtualClock,
  vmstate,
  when,
} from "../src/index.ts";
import { accelerate } from "../src/jit.ts";
import { acceleration } from "../src/vmstate/fast.ts";

const inner = vmstate({
  name: "inner",
  version: 1,
  fields: { x: u8, n: u8, list: varray("n", u16), late: when((r) => r["x"] > 1, u8, { absent: 0 }) },
});

/** `size` times as many fields, elements and subsections as the smallest. */
function describedBy(size: number) {
  const fields: Record<string, Field> = {};
  const state: Record<string, unknown> = {};
  for (let i = 0; i < size; i++) {
    Object.assign(fields, {
      [`byte${i}`]: u8,
      [`word${i}`]: u32,
      [`low${i}`]: range(u16, 0, 100),
      [`safe${i}`]: u64n,
      [`big${i}`]: u64,
      [`flag${i}`]: bool,
      [`_gap${i}`]: unused(3),
      [`raw${i}`]: buffer(8),
      [`words${i}`]: array(u16, 4),
      [`one${i}`]: struct(inner),
    });
    Object.assign(state, {
      [`byte${i}`]: i,
      [`word${i}`]: 1000 + i,
      [`low${i}`]: i,
      [`safe${i}`]: 7 + i,
      [`big${i}`]: 5n,
      [`flag${i}`]: i % 2 === 0,
      [`raw${i}`]: new Uint8Array(8).fill(i),
      [`words${i}`]: Uint16Array.of(1, 2, 3, i),
      [`one${i}`]: { x: i % 4, n: 2, list: Uint16Array.of(i, 2), late: i % 4 > 1 ? 3 : 0 },
    });
  }
  fields["rows"] = array(struct(inner), size);
  state["rows"] = Array.from({ length: size }, () => ({ x: 0, n: 1, list: Uint16Array.of(9), late: 0 }));
  fields["all"] = markedList(struct(inner));
  state["all"] = Array.from({ length: size }, () => ({ x: 0, n: 1, list: Uint16Array.of(9), late: 0 }));
  const quiet = { words: new Uint32Array(size), rows: Array.from({ length: size }, () => ({ a: 0 })) };
  const row = vmstate({ name: "row", version: 1, fields: { a: u8 } });
  const part = { fields: { words: array(u32, size), rows: array(struct(row), size) }, absent: quiet };
  const description = vmstate({
    name: "device",
    version: 1,
    fields,
    subsections: {
      sent: subsection({ name: "device/sent", version: 1, ...part }),
      unsent: subsection({ name: "device/unsent", version: 1, ...part, needed: () => false }),
    },
  }) as unknown as Description<object>;
  const part1 = () => ({ words: new Uint32Array(size), rows: Array.from({ length: size }, () => ({ a: 0 })) });
  return { description, state: { ...state, sent: part1(), unsent: part1() } };
}

interface Measured {
  readonly kernel: Kernel;
  readonly description: Description<object>;
  readonly state: object;
  readonly into: Uint8Array;
}

/** A kernel with one device, whose state is the very same object every time. */
function machineOf(size: number, wrap: (state: object) => object = (state) => state): Measured {
  const { description, state } = describedBy(size);
  const kernel = createKernel({
    machineType: "measured",
    clock: virtualClock(() => 0n),
    machine: { pause: () => {}, resume: () => {}, reset: () => {} },
  });
  const saved = wrap(state);
  kernel.device(description, { save: () => saved, load: () => {} });
  return { kernel, description, state, into: new Uint8Array(64 * 1024) };
}

/** The fields of the smallest description, its nested ones not counted. */
const fieldsOf = 10;

/** Bytes of V8's heap that a call takes, once the engine has compiled what it means to. */
async function weigher(): Promise<(work: () => void) => number> {
  const { getHeapStatistics } = await import("node:v8");
  return (work) => {
    for (let i = 0; i < 1000; i++) work();
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 30; round++) {
      const before = getHeapStatistics().used_heap_size;
      for (let i = 0; i < 10; i++) work();
      const grown = (getHeapStatistics().used_heap_size - before) / 10;
      // Less than nothing: a collection came between.
      if (grown >= 0) least = Math.min(least, grown);
    }
    return least;
  };
}

const counted = ["Uint8Array", "Uint16Array", "Uint32Array", "DataView", "Map", "Set", "Array"] as const;

/** How many objects with a constructor of those above `work` makes. */
function made(work: () => void): number {
  let count = 0;
  for (const name of counted) {
    const real = globalThis[name] as unknown as new (...args: never[]) => object;
    vi.stubGlobal(
      name,
      new Proxy(real, {
        construct(target, args, newTarget) {
          count++;
          return Reflect.construct(target, args, newTarget) as object;
        },
      }),
    );
  }
  try {
    work();
  } finally {
    vi.unstubAllGlobals();
  }
  return count;
}

describe.each(["nodes", "generated code"])("a snapshot by %s", (by) => {
  const prepare = (): void => {
    acceleration.generate = undefined;
    if (by === "generated code") accelerate();
  };
  afterEach(() => {
    acceleration.generate = undefined;
  });

  it("reads described names in place: nothing is listed, copied or assigned", () => {
    prepare();
    const refuse = (): never => {
      throw new Error("a state is read by name");
    };
    const names = new Set<PropertyKey>();
    const watch = (value: object): object =>
      new Proxy(value, {
        ownKeys: refuse,
        getOwnPropertyDescriptor: refuse,
        set: refuse,
        get(target, key): unknown {
          names.add(key);
          const found = (target as Record<PropertyKey, unknown>)[key];
          const isRecord = typeof found === "object" && found !== null && !ArrayBuffer.isView(found);
          return isRecord && !Array.isArray(found) ? watch(found) : found;
        },
      });
    const { kernel } = machineOf(2, (state) => watch({ ...state, more: 1 }));
    const plain = machineOf(2).kernel;
    for (let i = 0; i < 40; i++) expect(kernel.snapshot()).toEqual(plain.snapshot());
    expect(names).toContain("words1");
    expect(names).not.toContain("more");
  });

  it("makes as many arrays, views and maps for many fields as for few", () => {
    prepare();
    const counts = [1, 30].map((size) => {
      const { kernel, into } = machineOf(size);
      for (let i = 0; i < 40; i++) kernel.snapshot(into);
      return made(() => kernel.snapshot(into));
    });
    expect(counts[0]).toBeGreaterThan(0);
    expect(counts[1]).toBe(counts[0]);
    expect(counts[0]).toBeLessThan(8);
  });

  // JavaScriptCore counts its heap only when it collects; V8 tells each word.
  it.skipIf("Bun" in globalThis)("takes as much of the heap for many fields as for few", async () => {
    const heapOf = await weigher();
    prepare();
    const [few = 0, many = 0] = [1, 30].map((size) => {
      const { kernel, into } = machineOf(size);
      return heapOf(() => kernel.snapshot(into));
    });
    expect(few).toBeGreaterThan(0);
    expect(many - few).toBeLessThan(29 * fieldsOf);
  });

  it.skipIf("Bun" in globalThis)("and a restore, beside what the devices are given", async () => {
    const heapOf = await weigher();
    prepare();
    const weights = [1, 21].map((size) => {
      const { kernel, description, state } = machineOf(size);
      const body = encodeState(description, state);
      const snapshot = kernel.snapshot();
      const given = heapOf(() => decodeState(description, body));
      return { given, beside: heapOf(() => kernel.restore(snapshot)) - given };
    });
    const [few, many] = weights as [(typeof weights)[0], (typeof weights)[0]];
    expect(many.given - few.given).toBeGreaterThan(20 * fieldsOf * 8);
    expect(many.beside - few.beside).toBeLessThan(0.2 * (many.given - few.given));
  });
});
