// The machine: v86 as a Godwit kernel sees it. Its time is a virtual clock, its state is sections.
import { createKernel, type Kernel, virtualClock, wallClock } from "@godwit/core";
import { compareTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { type DmaState, dmaDevice } from "./devices/dma.ts";
import { i8254Device } from "./devices/i8254.ts";
import { i8259Devices } from "./devices/i8259.ts";
import { rtcDevice } from "./devices/mc146818rtc.ts";
import { restDevice } from "./devices/rest.ts";
import { serialDevice } from "./devices/serial.ts";
import { fwCfgDevice, port92Device } from "./devices/small.ts";
import { forgetCaches, x86CpuDevice } from "./devices/x86-cpu.ts";
import { type Emulator, startEmulator } from "./emulator/emulator.ts";
import type { V86Serial } from "./emulator/v86-objects.ts";

export interface MachineOptions {
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
  readonly disk: Uint8Array;
  /** The default is 4 MiB. */
  readonly ramBytes?: number;
  /** A second serial port, COM2. */
  readonly secondSerial?: boolean;
  /** Whether the guest's date goes on with the host's while the machine lies in a file; the default is `follow`. */
  readonly date?: "follow" | "freeze";
}

export interface V86Machine extends Emulator {
  readonly kernel: Kernel;
  /** A view of RAM as it is now: v86's wasm memory may grow, which detaches views. */
  ram(): Uint8Array;
  /** What the guest has sent on COM1 in this machine. */
  sent(): string;
  /** Runs the guest until `done`; one that was paused is paused again. Rejects after `limitMs`, a minute by default. */
  runUntil(done: () => boolean, limitMs?: number): Promise<void>;
  destroy(): Promise<void>;
}

const defaultRamBytes = 4 * 1024 * 1024;
/** How often `runUntil` looks. Milliseconds. */
const pollMs = 2;
const defaultLimitMs = 60_000;

/** v86's clock, in milliseconds, is monotonic and begins with the process. */
function hostNow(): bigint {
  return BigInt(Math.round(performance.now() * 1e6));
}

/** A machine that has been switched on, and is paused before its first instruction. */
export async function v86Machine(options: MachineOptions): Promise<V86Machine> {
  const clock = virtualClock(hostNow);
  const emulator = await startEmulator({
    ...options,
    ramBytes: options.ramBytes ?? defaultRamBytes,
    secondSerial: options.secondSerial ?? false,
    clock,
  });
  const { engine, inside } = emulator;
  const { cpu } = engine;

  let running = false;
  const kernel = createKernel({
    machineType: "v86-0.5",
    clock,
    machine: {
      pause() {
        // A save pauses a machine that is paused: what was loaded into it must not be taken from v86's times again.
        if (!running) return;
        if (emulator.ticking) throw new Error("v86 cannot be paused from inside of its loop");
        running = false;
        engine.stop();
        rtc.paused();
      },
      resume() {
        if (running) return;
        running = true;
        // Memory may have come without a processor's load: a load that was taken back.
        forgetCaches(cpu);
        rtc.resumed();
        engine.run();
      },
      reset: () => engine.cpu.reboot_internal(),
    },
  });
  const ramBytes = cpu.mem8.length;
  const ramOf = () => new Uint8Array(cpu.wasm_memory.buffer, cpu.mem8.byteOffset, ramBytes);
  kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "pc.ram",
          bytes: ramOf,
          tracker: compareTracker(ramBytes),
          map: [{ gpa: 0, offset: 0, length: ramBytes }],
        }),
      ],
    }),
  );
  i8259Devices(kernel, cpu);
  x86CpuDevice(kernel, cpu, "ram");
  i8254Device(kernel, cpu.devices.pit);
  const wall = wallClock({
    clock,
    hostNow: () => BigInt(Date.now()) * 1_000_000n,
    mode: options.date ?? "follow",
  });
  const rtc = rtcDevice(kernel, { rtc: cpu.devices.rtc, clock, wall });
  const { uart0, uart1, uart2, uart3 } = cpu.devices;
  for (const [instance, port] of [uart0, uart1, uart2, uart3].entries()) {
    if (port !== undefined) serialDevice(kernel, instance, port as V86Serial);
  }
  dmaDevice(kernel, cpu.devices["dma"] as DmaState);
  port92Device(kernel, cpu);
  fwCfgDevice(kernel, cpu);
  restDevice(kernel, engine);

  let destroyed = false;
  let sent = "";
  emulator.emulator.add_listener("serial0-output-byte", (byte) => {
    sent += String.fromCharCode(byte);
  });
  return {
    ...emulator,
    get ticking() {
      return emulator.ticking;
    },
    inside,
    kernel,
    ram: ramOf,
    sent: () => sent,
    async runUntil(done, limitMs = defaultLimitMs) {
      const ran = clock.running;
      const end = performance.now() + limitMs;
      if (!ran) kernel.resume();
      try {
        while (!done()) {
          if (destroyed) throw new Error("the machine was switched off before the guest got there");
          if (performance.now() > end) throw new Error(`the guest did not get there within ${limitMs / 1000} s`);
          await new Promise((resolve) => setTimeout(resolve, pollMs));
        }
      } finally {
        if (!ran && !destroyed) kernel.pause();
      }
    },
    destroy() {
      destroyed = true;
      return emulator.emulator.destroy();
    },
  };
}
