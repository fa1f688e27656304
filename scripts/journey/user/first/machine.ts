// A new user's machine: memory, the user's own device, and a guest that writes to both as long as the machine runs.
import { createKernel, virtualClock } from "@godwit/core";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { Thermometer } from "./device.ts";

const ramBytes = 256 * 1024;

export function machine() {
  let memory: Uint8Array = new Uint8Array(ramBytes);
  let running = false;
  const kernel = createKernel({
    machineType: "greenhouse-1",
    clock: virtualClock(() => BigInt(Math.round(performance.now() * 1e6))),
    machine: {
      pause: () => {
        running = false;
      },
      resume: () => {
        running = true;
      },
      reset() {},
    },
  });
  const { memory: guest } = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "greenhouse.ram",
          bytes: () => memory,
          adopt: (arrived) => {
            memory = arrived;
          },
          tracker: barrierTracker(ramBytes),
          map: [{ gpa: 0, offset: 0, length: ramBytes }],
        }),
      ],
    }),
  );
  const thermometer = new Thermometer(kernel);
  let ticks = 0;
  return {
    kernel,
    isRunning: () => running,
    /** What the guest does when it is its turn: a page of its log, and a reading. */
    tick() {
      if (!running) return;
      ticks++;
      guest.write((ticks * 4096) % ramBytes, Uint8Array.of(ticks, ticks >>> 8));
      thermometer.measure(ticks, 290_000 + ticks);
    },
    /** All that the guest could see, in a line. */
    tell: () => {
      const sum = memory.reduce((total, byte, at) => (total + byte * ((at % 251) + 1)) % 1_000_003, 0);
      const readings = thermometer.readings.map(({ seconds, millikelvin }) => `${seconds}:${millikelvin}`);
      return `memory ${sum}, readings ${readings.join(" ")}`;
    },
  };
}
