// A machine around the device: a clock, its timers, an interrupt controller, and the plugin.
import {
  capture,
  createKernel,
  type Kernel,
  type KernelForPlugins,
  restore,
  type TimerQueue,
  timerQueue,
  u32,
  virtualClock,
  vmstate,
} from "@godwit/core";
import { type __Device__Offer, __device__Plugin } from "../src/index.ts";

const irqchip = vmstate({ name: "irqchip", version: 1, fields: { lines: u32 } });

/** 32 lines, and which of them are high. */
export class Irqchip {
  lines = 0;

  constructor(kernel: KernelForPlugins) {
    kernel.device(irqchip, { save: () => capture(irqchip, this), load: (state) => restore(irqchip, this, state) });
  }

  setLine(line: number, level: boolean): void {
    const bit = 1 << line;
    this.lines = (level ? this.lines | bit : this.lines & ~bit) >>> 0;
  }
}

export interface Machine {
  readonly kernel: Kernel;
  readonly timers: TimerQueue;
  readonly irqchip: Irqchip;
  readonly device: __Device__Offer;
}

/** `hostNow` is the host's monotonic time in nanoseconds. The machine stands until `kernel.resume()`. */
export function machine(hostNow: () => bigint): Machine {
  const clock = virtualClock(hostNow);
  const timers = timerQueue(clock);
  const kernel = createKernel({
    machineType: "example-1.0",
    clock,
    machine: { pause() {}, resume() {}, reset: () => device.reset() },
  });
  // Registered before what it depends on: devices load in the order of their `after`.
  const setLine = (level: boolean) => irqchip.setLine(3, level);
  const device = kernel.use(__device__Plugin({ timers, setLine, controller: "irqchip" }));
  const irqchip = new Irqchip(kernel);
  return { kernel, timers, irqchip, device };
}
