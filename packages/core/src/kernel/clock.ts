// The virtual clock: the time that the guest sees. It stands still while the machine does, and travels with it.
import { MigrationError } from "../errors.ts";
import { ownVmstate } from "../vmstate/describe.ts";
import { i64, unused } from "../vmstate/fields.ts";
import type { Description } from "../vmstate/types.ts";

/** Nanoseconds of guest time, as `bigint`. */
export interface VirtualClock {
  readonly running: boolean;
  now(): bigint;
  start(): void;
  stop(): void;
  /** Sets the time. `CLOCK_RUNNING` while the clock runs: guest time must not jump under a guest. */
  adjust(now: bigint): void;
}

/** `hostNow` gives monotonic host time in nanoseconds; where it starts does not matter. */
export function virtualClock(hostNow: () => bigint): VirtualClock {
  let running = false;
  let base = 0n;
  let startedAt = 0n;
  return {
    get running() {
      return running;
    },
    now: () => (running ? base + (hostNow() - startedAt) : base),
    start() {
      if (running) return;
      startedAt = hostNow();
      running = true;
    },
    stop() {
      if (!running) return;
      base += hostNow() - startedAt;
      running = false;
    },
    adjust(now) {
      if (running) throw new MigrationError("CLOCK_RUNNING", "the virtual clock can be set only while it stands");
      base = now;
    },
  };
}

/**
 * QEMU's section `timer` v2 (cpu_ticks_offset, 8 unused bytes, cpu_clock_offset). A stopped machine's clock offset is
 * its virtual time; Godwit counts no CPU ticks beside it and writes the same value there.
 */
export const timerDescription: Description<{ cpu_ticks_offset: bigint; cpu_clock_offset: bigint }> = ownVmstate({
  name: "timer",
  version: 2,
  minimumVersion: 1,
  fields: { cpu_ticks_offset: i64, _dummy: unused(8), cpu_clock_offset: i64 },
});
