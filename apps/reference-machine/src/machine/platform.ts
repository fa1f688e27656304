// What every profile of the reference machine stands on: RAM, one hart, interrupt controller, timer, console, kernel.
import { createKernel, type Kernel, type MigrationError, timerQueue, virtualClock } from "@godwit/core";
import { barrierTracker, type RamOffer, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { Hart } from "../hart/hart.ts";
import {
  BOOT_BLOCK_OFFSET,
  CONSOLE_BASE,
  CONSOLE_BYTES,
  INTERRUPT_BASE,
  INTERRUPT_BYTES,
  INTERRUPT_DOORBELL,
  RAM_BASE,
  TIMER_BASE,
  TIMER_BYTES,
} from "../memory-map.ts";
import { consoleRegion } from "./console.ts";
import { checkHart, hartDescription } from "./hart-device.ts";
import { InterruptController, interruptControllerDescription } from "./interrupt-controller.ts";
import { Runner } from "./runner.ts";
import { SystemBus } from "./system-bus.ts";
import { Timer, timerDescription } from "./timer.ts";

export interface PlatformOptions {
  readonly machineType: string;
  /** Whole 4 KiB pages. */
  readonly memoryBytes: number;
  /** Monotonic host time, nanoseconds. */
  readonly hostNow: () => bigint;
  readonly onConsoleLine?: (line: string) => void;
  /** Instructions between two looks at the host; the default is 20,000. With few, a test stops where it likes. */
  readonly sliceSteps?: number;
  /** The machine met an error of its own and stands. */
  readonly onFailure?: (error: unknown) => void;
}

export interface Platform {
  readonly kernel: Kernel;
  readonly bus: SystemBus;
  readonly memory: RamOffer;
  /** Makes an irq pending. */
  raise(irq: number): void;
  /** A device's message-signalled interrupt. */
  signalMsi(address: number, data: number): void;
  /** Done each time just before the hart runs on: a kick that it gives must find the device at work. */
  beforeResume(work: () => void): void;
  /** What is reset with the machine, before the hart, in the order in which it was added. */
  resets(part: { reset(): void }): void;
  /** RAM as it is now; a migration replaces it. */
  ram(): Uint8Array;
  /** Instructions executed here. */
  steps(): number;
}

export function platform(options: PlatformOptions): Platform {
  const clock = virtualClock(options.hostNow);
  const timers = timerQueue(clock);
  const bus = new SystemBus();
  const hart = new Hart({ hartId: 0, bus, absent: () => memory.absent()?.words[0] });
  const timer = new Timer(timers, (level) => hart.setInterruptLine("timer", level));
  const failed = (error: unknown) => {
    clock.stop();
    if (options.onFailure === undefined) throw error;
    options.onFailure(error);
  };
  async function whenPresent(missed: number | MigrationError): Promise<void> {
    try {
      if (typeof missed === "object") throw missed;
      // Told as every other access is, so that it is asked for and counted.
      memory.memory.read(missed, 1);
    } catch (error) {
      await memory.whenPresent(error);
    }
  }
  const runner = new Runner({
    hart,
    timers,
    onFailure: failed,
    sliceSteps: options.sliceSteps,
    whenPresent,
  });

  const irqchip = new InterruptController((level) => {
    hart.setInterruptLine("external", level);
    if (level) runner.wake();
  });
  const parts: { reset(): void }[] = [];
  const starts: (() => void)[] = [];
  const kernel = createKernel({
    machineType: options.machineType,
    clock,
    machine: {
      pause: () => runner.stop(),
      resume: () => {
        for (const work of starts) work();
        runner.start();
      },
      reset: () => {
        for (const part of [...parts, irqchip, timer]) part.reset();
        hart.reset(RAM_BASE, 0, RAM_BASE + BOOT_BLOCK_OFFSET);
      },
      throttle: (fraction) => runner.throttle(fraction),
      holdInterrupts: (held) => irqchip.hold(held),
    },
  });

  let bytes = new Uint8Array(options.memoryBytes);
  const tracker = barrierTracker(options.memoryBytes);
  const attachRam = (fresh: Uint8Array): void => {
    bytes = fresh as Uint8Array<ArrayBuffer>;
    hart.attachRam(RAM_BASE, fresh, tracker.words);
  };
  attachRam(bytes);
  const memory = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "reference.ram",
          bytes: () => bytes,
          adopt: attachRam,
          tracker,
          map: [{ gpa: RAM_BASE, offset: 0, length: options.memoryBytes }],
        }),
      ],
    }),
  );

  bus.add(INTERRUPT_BASE, INTERRUPT_BYTES, {
    read: (offset) => irqchip.read(offset),
    write: (offset, _size, value) => irqchip.write(offset, value),
  });
  bus.add(TIMER_BASE, TIMER_BYTES, {
    read: (offset) => timer.read(offset),
    write: (offset, _size, value) => timer.write(offset, value),
  });
  bus.add(CONSOLE_BASE, CONSOLE_BYTES, consoleRegion(options.onConsoleLine ?? (() => {})));

  kernel.device(hartDescription, {
    after: memory.after,
    save: () => hart.save(),
    check: checkHart,
    load: (state) => hart.load(state),
  });
  kernel.device(interruptControllerDescription, { save: () => irqchip.save(), load: (state) => irqchip.load(state) });
  kernel.device(timerDescription, { save: () => timer.save(), load: (state) => timer.load(state) });

  return {
    kernel,
    bus,
    memory,
    raise: (irq) => irqchip.raise(irq),
    signalMsi(address, data) {
      if (address === INTERRUPT_BASE + INTERRUPT_DOORBELL) irqchip.raise(data);
    },
    beforeResume: (work) => starts.push(work),
    resets: (part) => parts.push(part),
    ram: () => bytes,
    steps: () => runner.steps,
  };
}
