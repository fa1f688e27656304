// Save slots and rewind: a snapshot and a restore of a small machine, beside structuredClone and msgpackr on the same
// states. Every row has shown, before it is timed, that it gives the states back. What a call takes of the heap only V8
// tells, so Bun asks Node, which runs the same rows from a bundle of this file.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measure } from "mitata";
import { Packr } from "msgpackr";
import {
  array,
  buffer,
  capture,
  createKernel,
  restore,
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

/** How a device's state gets out of it and back. */
interface Style {
  readonly save: (name: Name, live: object) => object;
  readonly load: (name: Name, live: object, state: object) => object;
}
/** Devices hand out their live state, and take what they are given for their own. */
const live: Style = { save: (_, own) => own, load: (_name, _own, state) => state };
/** Devices copy, and fill themselves in place. */
const captured: Style = {
  save: (name, own) => capture(descriptions[name] as typeof cpu, own as States["cpu"]),
  load: (name, own, state) => {
    restore(descriptions[name] as typeof cpu, own as States["cpu"], state as States["cpu"]);
    return own;
  },
};

function machine({ save, load }: Style) {
  const states = statesOf(1);
  const kernel = createKernel({
    machineType: "small-1.0",
    clock: virtualClock(() => 0n),
    machine: { pause: () => {}, resume: () => {}, reset: () => {} },
  });
  for (const name of names) {
    kernel.device(descriptions[name] as typeof cpu, {
      save: () => save(name, states[name]) as States["cpu"],
      load: (state) => {
        states[name] = load(name, states[name], state) as never;
      },
    });
  }
  return { kernel, states };
}

interface Row {
  readonly table: "snapshot" | "restore" | "one description of 64 registers";
  readonly what: string;
  readonly us: number;
  readonly heapBytes: number | undefined;
}

function require(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`${what} does not give the states back`);
}

/** What a call takes of the heap, once the engine has compiled what it means to. Bytes; only V8 tells. */
async function weigher(): Promise<((work: () => unknown) => number) | undefined> {
  if ("Bun" in globalThis) return undefined;
  const { getHeapStatistics } = await import("node:v8");
  return (work) => {
    const weights: number[] = [];
    while (weights.length < 31) {
      const before = getHeapStatistics().used_heap_size;
      for (let i = 0; i < 10; i++) work();
      const grown = (getHeapStatistics().used_heap_size - before) / 10;
      // Less than nothing: a collection came between.
      if (grown >= 0) weights.push(grown);
    }
    return weights.sort((a, b) => a - b)[15] as number;
  };
}

/** Times every row in this engine, and weighs it where the engine tells how much of its heap is in use. */
export async function snapshotRows(): Promise<readonly Row[]> {
  const weigh = await weigher();
  const rows: Row[] = [];
  const add = async (table: Row["table"], what: string, work: () => unknown): Promise<void> => {
    const { p50 } = await measure(work);
    rows.push({ table, what, us: p50 / 1000, heapBytes: weigh?.(work) });
  };
  accelerate();
  const into = new Uint8Array(64 * 1024);
  const prepared = [live, captured].map((style) => {
    const { kernel, states } = machine(style);
    const taken = kernel.snapshot(into).slice();
    for (const name of names) states[name] = statesOf(9)[name] as never;
    kernel.restore(taken);
    require(sameValue(states, statesOf(1)), "restore");
    return { kernel, states, taken };
  });
  const [plain, copying] = prepared as [(typeof prepared)[0], (typeof prepared)[0]];
  const { kernel, states, taken } = plain;
  // Keeps typed arrays what they are, and the names of objects it has met out of the bytes: its best for this.
  const packr = new Packr({ structuredClone: true, useRecords: true });
  const packed = packr.pack(states);
  require(sameValue(packr.unpack(packed), states), "msgpackr");
  require(sameValue(structuredClone(states), states), "structuredClone");
  require(sameValue(taken, copying.taken), "capture");
  if (weigh === undefined) console.log(`a snapshot has ${taken.length} bytes, packed by msgpackr ${packed.length}`);
  await add("snapshot", "snapshot, into a buffer", () => kernel.snapshot(into));
  await add("snapshot", "snapshot, a new buffer", () => kernel.snapshot());
  await add("snapshot", "snapshot, save: () => capture(d, this)", () => copying.kernel.snapshot(into));
  await add("snapshot", "structuredClone", () => structuredClone(states));
  await add("snapshot", "msgpackr: pack", () => packr.pack(states));
  await add("restore", "restore", () => kernel.restore(taken));
  await add("restore", "restore, load: restore(d, this, state)", () => copying.kernel.restore(taken));
  await add("restore", "structuredClone", () => structuredClone(states));
  await add("restore", "msgpackr: unpack", () => packr.unpack(packed));
  const { description, source } = registers();
  const state = capture(description, source);
  require(sameValue(state, source), "capture");
  const table = "one description of 64 registers";
  await add(table, "structuredClone", () => structuredClone(source));
  await add(table, "capture", () => capture(description, source));
  await add(table, "restore", () => restore(description, source, state));
  return rows;
}

/** 64 fields of 32 bits, as a device has them that keeps each in a property. */
function registers() {
  const keys = Array.from({ length: 64 }, (_, i) => `r${i}`);
  const description = vmstate({
    name: "registers",
    version: 1,
    fields: Object.fromEntries(keys.map((key) => [key, u32])),
  });
  return { description, source: Object.fromEntries(keys.map((key, i) => [key, 0x8000_0000 + i])) };
}

function rowsOfNode(): readonly Row[] {
  const folder = mkdtempSync(join(tmpdir(), "godwit-bench-"));
  try {
    const [entry, bundle] = [join(folder, "entry.ts"), join(folder, "bundle.mjs")];
    const path = JSON.stringify(join(import.meta.dirname, "snapshot.bench.ts"));
    writeFileSync(entry, `import { snapshotRows } from ${path}; console.log(JSON.stringify(await snapshotRows()));`);
    execFileSync("bun", ["build", entry, "--target=node", `--outfile=${bundle}`], { stdio: "pipe" });
    return JSON.parse(execFileSync("node", [bundle], { encoding: "utf8" })) as Row[];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export default async function snapshotBenchmark(): Promise<void> {
  const rows = await snapshotRows();
  const weighed = "Bun" in globalThis ? rowsOfNode() : rows;
  for (const table of new Set(rows.map((row) => row.table))) {
    const first = rows.find((row) => row.table === table)?.us ?? 1;
    console.log(table);
    console.table(
      rows.flatMap((row, i) =>
        row.table !== table
          ? []
          : {
              what: row.what,
              "median, us": row.us.toFixed(2),
              "of the first row": (row.us / first).toFixed(2),
              ...(weighed === rows ? {} : { "Node: median, us": weighed[i]?.us.toFixed(2) }),
              "V8: heap, bytes": Math.round(weighed[i]?.heapBytes ?? Number.NaN),
            },
      ),
    );
  }
}
