// Save slots and rewind: a snapshot and a restore of a small machine, beside structuredClone and msgpackr on the same
// states. Every row has shown, before it is timed, that it gives the states back. Where the engine tells (V8: run it with
// Deno) the table also says what a call takes of the heap.
import { measure } from "mitata";
import { Packr } from "msgpackr";
import {
  array,
  buffer,
  createKernel,
  type StateOf,
  sameValue,
  u8,
  u16,
  u32,
  u64n,
  virtualClock,
  vmstate,
} from "../src/index.ts";
import { accelerate } from "../src/jit.ts";

const cpu = vmstate({
  name: "cpu",
  version: 1,
  fields: { pc: u32, registers: array(u32, 32), cycles: u64n, mode: u8, interrupts: u32, control: array(u32, 16) },
});
const uart = vmstate({
  name: "uart",
  version: 1,
  fields: { divider: u16, rbr: u8, ier: u8, iir: u8, lcr: u8, mcr: u8, lsr: u8, msr: u8, scr: u8, fifo: buffer(16) },
});
const timer = vmstate({
  name: "pit",
  version: 1,
  fields: { counts: array(u16, 3), modes: array(u8, 3), latched: array(u8, 3), deadline: u64n },
});
const video = vmstate({
  name: "video",
  version: 1,
  fields: { index: u8, registers: buffer(64), palette: buffer(768), text: buffer(4000) },
});
const descriptions = { cpu, uart, timer, video };

interface States {
  cpu: StateOf<typeof cpu>;
  uart: StateOf<typeof uart>;
  timer: StateOf<typeof timer>;
  video: StateOf<typeof video>;
}
type Name = keyof States;
const names = Object.keys(descriptions) as Name[];

function statesOf(fill: number): States {
  return {
    cpu: {
      pc: 0x8000_0000 + fill,
      registers: new Uint32Array(32).fill(fill),
      cycles: 123_456_789_012 + fill,
      mode: 3,
      interrupts: fill,
      control: new Uint32Array(16).fill(fill),
    },
    uart: {
      ...{ divider: 12, rbr: fill, ier: 1, iir: 1, lcr: 3, mcr: 8, lsr: 0x60, msr: 0, scr: 0 },
      fifo: new Uint8Array(16).fill(fill),
    },
    timer: {
      counts: Uint16Array.of(1, 2, fill),
      modes: Uint8Array.of(2, 3, 4),
      latched: new Uint8Array(3),
      deadline: 5_000_000 + fill,
    },
    video: {
      index: 7,
      registers: new Uint8Array(64).fill(fill),
      palette: new Uint8Array(768).fill(fill),
      text: new Uint8Array(4000).fill(fill),
    },
  };
}

/** A machine whose devices hand out their live state, and take what they are given for their own. */
function machine() {
  const states = statesOf(1);
  const kernel = createKernel({
    machineType: "small-1.0",
    clock: virtualClock(() => 0n),
    machine: { pause: () => {}, resume: () => {}, reset: () => {} },
  });
  for (const name of names) {
    kernel.device(descriptions[name] as typeof cpu, {
      save: () => states[name] as States["cpu"],
      load: (state) => {
        states[name] = state as never;
      },
    });
  }
  return { kernel, states };
}

interface Row {
  readonly what: string;
  readonly us: number;
  readonly heapBytes: number | undefined;
}

async function timed(what: string, work: () => unknown): Promise<Row> {
  const { p50, heap } = await measure(work, heapMeter === undefined ? {} : { heap: heapMeter });
  return { what, us: p50 / 1000, heapBytes: heap?.min };
}

let heapMeter: (() => number) | undefined;

function require(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`${what} does not give the states back`);
}

function table(rows: readonly Row[]): void {
  const first = rows[0]?.us ?? 1;
  console.table(
    rows.map(({ what, us, heapBytes }) => ({
      what,
      "median, us": us.toFixed(2),
      "of the first row": (us / first).toFixed(2),
      ...(heapBytes === undefined ? {} : { "heap, bytes": Math.round(heapBytes) }),
    })),
  );
}

export default async function snapshotBenchmark(): Promise<void> {
  // Only V8 tells how much of its heap is in use.
  if (!("Bun" in globalThis)) {
    const { getHeapStatistics } = await import("node:v8");
    heapMeter = () => getHeapStatistics().used_heap_size;
  }
  accelerate();
  const { kernel, states } = machine();
  const into = new Uint8Array(64 * 1024);
  const changed = statesOf(9);
  const taken = kernel.snapshot(into).slice();
  Object.assign(states, changed);
  kernel.restore(taken);
  require(sameValue(states, statesOf(1)), "restore");
  // Keeps typed arrays what they are, and the names of objects it has met out of the bytes: its best for this.
  const packr = new Packr({ structuredClone: true, useRecords: true });
  const packed = packr.pack(states);
  require(sameValue(packr.unpack(packed), states), "msgpackr");
  require(sameValue(structuredClone(states), states), "structuredClone");
  console.log(`a snapshot has ${taken.length} bytes, packed by msgpackr ${packed.length}`);
  table([
    await timed("snapshot, into a buffer", () => kernel.snapshot(into)),
    await timed("snapshot, a new buffer", () => kernel.snapshot()),
    await timed("structuredClone", () => structuredClone(states)),
    await timed("msgpackr: pack", () => packr.pack(states)),
  ]);
  table([
    await timed("restore", () => kernel.restore(taken)),
    await timed("structuredClone", () => structuredClone(states)),
    await timed("msgpackr: unpack", () => packr.unpack(packed)),
  ]);
}
