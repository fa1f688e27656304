// A machine without a guest: enough to try a device in.
import { createKernel, timerQueue, virtualClock } from "@godwit/core";

export function emptyMachine(hostNow: () => bigint) {
  const clock = virtualClock(hostNow);
  const kernel = createKernel({
    machineType: "guide-1.0",
    clock,
    machine: { pause() {}, resume() {}, reset() {} },
  });
  return { kernel, timers: timerQueue(clock) };
}
