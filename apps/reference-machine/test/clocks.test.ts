// The machine's timer and hart in the clock harness: a guest that lives on timer interrupts, saved and loaded on hosts
// whose clocks are days away.
import { createKernel, timerQueue, virtualClock } from "@godwit/core";
import { checkClocks, clockFindings, runTimers, type TimedMachine, type TimedSetup } from "@godwit/testkit/clocks";
import { expect, it } from "vitest";
import { Hart } from "../src/hart/hart.ts";
import { checkHart, hartDescription } from "../src/machine/hart-device.ts";
import { Timer, timerDescription } from "../src/machine/timer.ts";
import { TIMER_BASE, TIMER_BYTES } from "../src/memory-map.ts";
import * as asm from "./support/assembler.ts";
import { CSR } from "./support/assembler.ts";
import { HANDLER, PORT, RAM } from "./support/rig.ts";

const IDLE = RAM + 0x400;
const periodTicks = 25;
const mtip = 1 << 7;

/** x6: mtimecmp, x7: behind mtime, x8: period, x9: the port that notes an interrupt, x12: the next deadline in ticks. */
const boot = [
  asm.lui(6, (TIMER_BASE + 0x4000) >>> 12),
  asm.lui(7, (TIMER_BASE + 0xc000) >>> 12),
  asm.addi(8, 0, periodTicks),
  asm.lui(9, PORT >>> 12),
  asm.lui(10, RAM >>> 12),
  asm.addi(10, 10, 0x7ff),
  asm.addi(10, 10, 1),
  asm.csrrw(0, CSR.mtvec, 10),
  asm.addi(11, 0, mtip),
  asm.csrrs(0, CSR.mie, 11),
  asm.lw(12, 7, -8),
  asm.add(12, 12, 8),
  asm.sw(12, 6, 0),
  asm.sw(0, 6, 4),
  asm.csrrsi(0, CSR.mstatus, 8),
  asm.wfi,
  asm.jal(0, -4),
];
const onInterrupt = [asm.sw(12, 9, 0), asm.add(12, 12, 8), asm.sw(12, 6, 0), asm.sw(0, 6, 4), asm.mret];

function machine(loadTimer: (timer: Timer, state: { mtimecmp: bigint }) => void): TimedSetup {
  return (host): TimedMachine => {
    const clock = virtualClock(host.now);
    const timers = timerQueue(clock);
    const interrupts: bigint[] = [];
    const hart: Hart = new Hart({
      hartId: 0,
      bus: {
        mmioRead: (address) => timer.read(address - TIMER_BASE),
        mmioWrite(address, _size, value) {
          if (address < TIMER_BASE + TIMER_BYTES) return timer.write(address - TIMER_BASE, value);
          interrupts.push(clock.now());
          return true;
        },
      },
    });
    const timer = new Timer(timers, (level) => hart.setInterruptLine("timer", level));
    const ram = new DataView(new ArrayBuffer(4096));
    const put = (at: number, words: readonly number[]) => {
      for (const [i, word] of words.entries()) ram.setUint32(at - RAM + 4 * i, word, true);
    };
    put(RAM, boot);
    put(IDLE, [asm.wfi, asm.jal(0, -4)]);
    put(HANDLER, onInterrupt);
    hart.attachRam(RAM, new Uint8Array(ram.buffer), new Uint32Array(1));
    hart.reset(IDLE, 0, 0);

    const kernel = createKernel({
      machineType: "hart-and-timer-1.0",
      clock,
      machine: { pause: () => {}, resume: () => {}, reset: () => {} },
    });
    kernel.device(hartDescription, { save: () => hart.save(), check: checkHart, load: (state) => hart.load(state) });
    kernel.device(timerDescription, { save: () => timer.save(), load: (state) => loadTimer(timer, state) });
    const runDue = () => {
      timers.runDue();
      hart.run(1_000);
      expect(hart.idle).toBe(true);
    };
    return {
      kernel,
      start: () => hart.reset(RAM, 0, 0),
      run: (untilNs) => runTimers(host, { clock, next: () => timers.next(), runDue }, untilNs),
      fired: () => ({ hart: interrupts }),
    };
  };
}

const untilNs = 20_000n;

it("interrupts the guest at the same virtual times on every host", async () => {
  await checkClocks({ setup: machine((timer, state) => timer.load(state)), untilNs });
});

it("would not, if the timer forgot its deadline, or took it for the host's", async () => {
  const findings = (load: (timer: Timer, state: { mtimecmp: bigint }) => void) =>
    clockFindings({ setup: machine(load), untilNs });
  expect((await findings(() => {})).map(({ code, device }) => [code, device])).toContainEqual(["NEVER_FIRES", "hart"]);
  const early = await findings((timer, { mtimecmp }) => timer.load({ mtimecmp: mtimecmp - 1n }));
  expect(early.map(({ code, lateNs }) => [code, lateNs])).toContainEqual(["FIRES_EARLY", -100n]);
  const atOnce = await findings((timer) => timer.load({ mtimecmp: 0n }));
  expect(atOnce.map(({ code }) => code)).toContain("FIRES_AT_ONCE");
});
