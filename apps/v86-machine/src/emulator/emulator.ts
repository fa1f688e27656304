// v86 without a screen, on a clock of ours: its timers, its PIT and its time stamp counter all see guest time.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { VirtualClock } from "@godwit/core";
import { V86 } from "v86";
import type { V86Emulator, V86Engine } from "./v86-objects.ts";

export interface EmulatorOptions {
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
  readonly disk: Uint8Array;
  readonly ramBytes: number;
  /** A second serial port, COM2. */
  readonly secondSerial: boolean;
  readonly clock: VirtualClock;
}

export interface Emulator {
  readonly emulator: V86Emulator;
  readonly engine: V86Engine;
  /** Calls into v86 from outside of its loop, with this machine's clock. */
  inside<T>(work: () => T): T;
  /** True while v86's own loop runs: its state is in the middle of something. */
  readonly ticking: boolean;
}

/** What is used of WebAssembly; its types are the DOM's. */
interface WebAssemblyApi {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ readonly instance: { readonly exports: object } }>;
}

const vgaBytes = 256 * 1024;

/** Starts v86 as far as its first instruction. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const microtick = () => Number(options.clock.now()) / 1e6;
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };
  const wasm = readFileSync(join(dirname(createRequire(import.meta.url).resolve("v86")), "v86.wasm"));
  const emulator = new V86({
    wasm_fn: async (imports) => {
      const env = (imports as { env: { microtick: () => number } }).env;
      env.microtick = microtick;
      return (await WebAssembly.instantiate(wasm, imports)).instance.exports;
    },
    bios: { buffer: bufferOf(options.bios) },
    vga_bios: { buffer: bufferOf(options.vgaBios) },
    fda: { buffer: bufferOf(options.disk) },
    memory_size: options.ramBytes,
    vga_memory_size: vgaBytes,
    fastboot: true,
    autostart: false,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    ...(options.secondSerial ? { uart1: true } : {}),
  }) as unknown as V86Emulator;
  await new Promise<void>((resolve) => emulator.add_listener("emulator-loaded", () => resolve()));

  const engine = emulator.v86;
  const engineClass = engine.constructor;
  // All engines of a process ask one clock; it is this machine's while this machine's code runs.
  let ticking = false;
  function inside<T>(work: () => T): T {
    const others = engineClass.microtick;
    engineClass.microtick = microtick;
    try {
      return work();
    } finally {
      engineClass.microtick = others;
    }
  }
  const tick = engine.do_tick.bind(engine);
  engine.do_tick = () => {
    ticking = true;
    try {
      inside(tick);
    } finally {
      ticking = false;
    }
  };
  return {
    emulator,
    engine,
    inside,
    get ticking() {
      return ticking;
    },
  };
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
