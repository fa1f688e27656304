// A machine of connectors and RAM in a kernel, a guest that makes RTAS calls in it, and trees to hot-plug.
import { createKernel, type Kernel, type Plugin, virtualClock } from "@godwit/core";
import { barrierTracker, type RamOffer, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import {
  cells,
  type DeviceTree,
  deviceTree,
  drcIndex,
  drSensor,
  type RtasCall,
  type SpaprDrcOffer,
  type SpaprDrcOptions,
  spaprDrc,
  strings,
} from "../../src/index.ts";

export const pci = drcIndex("pci", 0x10);
export const cpu = drcIndex("cpu", 1);
export const lmb = drcIndex("lmb", 4);
export const workArea = 0x2000;
export const logBuffer = 0x4000;
const memoryBytes = 0x8000;

export interface TestMachine {
  readonly kernel: Kernel;
  readonly drc: SpaprDrcOffer;
  readonly memory: RamOffer["memory"];
  /** The state of a connector, by its number. */
  stateOf(index: number): number | undefined;
}

export function machine(options: Partial<SpaprDrcOptions> = {}): TestMachine {
  const kernel = createKernel({
    machineType: "pseries-test",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  return machineIn({ kernel, use: (plugin) => kernel.use(plugin) }, options);
}

/** In a kernel that is there: RAM, and the plugin as the bench takes it in. */
export function machineIn(
  bench: { readonly kernel: Kernel; use<O>(plugin: Plugin<O>): O },
  options: Partial<SpaprDrcOptions> = {},
): TestMachine {
  const { kernel } = bench;
  let bytes: Uint8Array = new Uint8Array(memoryBytes);
  const block = ramBlock({
    idstr: "ppc_spapr.ram",
    bytes: () => bytes,
    adopt: (fresh) => {
      bytes = fresh;
    },
    tracker: barrierTracker(memoryBytes),
    map: [{ gpa: 0, offset: 0, length: memoryBytes }],
  });
  const { memory } = kernel.use(ram({ blocks: [block] }));
  const rtc = { now: () => 1_795_266_732_000_000_000n + kernel.clock.now() };
  const drc = bench.use(spaprDrc({ memory, connectors: [cpu, lmb, pci], rtc, ...options }));
  return { kernel, drc, memory, stateOf: (index) => drc.connector(index)?.state };
}

export async function saved(kernel: Kernel): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk.slice());
  return new Uint8Array(Buffer.concat(chunks));
}

/** What one call of configure-connector told the guest. */
export interface Told {
  readonly status: number;
  readonly name?: string;
  readonly value?: readonly number[];
}

export class Guest {
  readonly #machine: TestMachine;
  constructor(on: TestMachine) {
    this.#machine = on;
  }
  call(name: RtasCall, ...words: number[]): number {
    return this.#machine.drc.rtas(name, words)[0] as number;
  }
  sense(index: number): number[] {
    return this.#machine.drc.rtas("get-sensor-state", [drSensor.ENTITY_SENSE, index]);
  }
  isolate = (index: number): number => this.call("set-indicator", drSensor.ISOLATION, index, 0);
  unisolate = (index: number): number => this.call("set-indicator", drSensor.ISOLATION, index, 1);
  unusable = (index: number): number => this.call("set-indicator", drSensor.ALLOCATION, index, 0);
  usable = (index: number): number => this.call("set-indicator", drSensor.ALLOCATION, index, 1);
  light = (index: number, value: number): number => this.call("set-indicator", drSensor.INDICATOR, index, value);

  /** Writes the work area's head, as a guest does before its first call. */
  aim(index: number): void {
    this.#machine.memory.write(workArea, new Uint8Array([...cells(index, 0)]));
  }

  /** One call, and what the work area says after it. */
  configure(): Told {
    const status = this.call("ibm,configure-connector", workArea, 0);
    const area = this.#machine.memory.read(workArea, 4096);
    const word = (at: number) => new DataView(area.buffer, area.byteOffset).getUint32(at);
    const text = (at: number) => String.fromCharCode(...area.subarray(at, area.indexOf(0, at)));
    if (status === 2) return { status, name: text(word(8)) };
    if (status !== 3) return { status };
    return { status, name: text(word(8)), value: [...area.subarray(word(16), word(16) + word(12))] };
  }

  /** Calls until the tree is told, or a call fails. */
  configureAll(): Told[] {
    const told: Told[] = [];
    do told.push(this.configure());
    while ((told.at(-1) as Told).status > 0);
    return told;
  }

  /** The next event, as its bytes in a buffer of `length`. */
  fetch(mask = 0x4000_0000, length = 2048): { status: number; log: Uint8Array } {
    const status = this.call("check-exception", 0x500, 0, mask, 0, logBuffer, length);
    return { status, log: this.#machine.memory.read(logBuffer, 116).slice() };
  }
}

/** A tree three nodes deep, with properties at every level, siblings, and a node that has none. */
export function deepTree(index: number): DeviceTree {
  return deviceTree({
    name: "ethernet@2",
    properties: [
      ["reg", cells(0x1000, 0, 0, 0, 0)],
      ["name", strings("ethernet")],
      ["ibm,my-drc-index", cells(index)],
    ],
    children: [
      {
        name: "mdio",
        properties: [["#address-cells", cells(1)]],
        children: [
          {
            name: "phy@0",
            properties: [
              ["reg", cells(0)],
              ["compatible", strings("a", "bc")],
              ["empty", new Uint8Array(0)],
            ],
          },
          { name: "phy@1", properties: [["reg", cells(1)]] },
        ],
      },
      { name: "queues" },
    ],
  });
}

/** What a guest is told of `deepTree(index)`, from the first call to the last. */
export function toldOf(index: number): Told[] {
  const ascii = (text: string) => [...text].map((char) => char.charCodeAt(0));
  const cell = (...words: number[]) => [...cells(...words)];
  const node = (name: string): Told => ({ status: 2, name });
  const property = (name: string, value: number[]): Told => ({ status: 3, name, value });
  const up: Told = { status: 4 };
  return [
    node("ethernet@2"),
    property("reg", cell(0x1000, 0, 0, 0, 0)),
    property("name", ascii("ethernet\0")),
    property("ibm,my-drc-index", cell(index)),
    node("mdio"),
    property("#address-cells", cell(1)),
    node("phy@0"),
    property("reg", cell(0)),
    property("compatible", ascii("a\0bc\0")),
    property("empty", []),
    up,
    node("phy@1"),
    property("reg", cell(1)),
    up,
    up,
    node("queues"),
    up,
    { status: 0 },
  ];
}
