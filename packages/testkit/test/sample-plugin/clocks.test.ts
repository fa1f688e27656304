// The clock harness by itself, on the sample plugin: what the README shows.
import { createKernel, timerQueue, virtualClock } from "@godwit/core";
import { checkClocks, runTimers } from "@godwit/testkit/clocks";
import { expect, it } from "vitest";
import { todPlugin } from "./src/index.ts";
import type { Tod } from "./src/tod.ts";

const machine = { pause: () => {}, resume: () => {}, reset: () => {} };

/** The README's lines; `start` is what the guest does first. */
function check(start: (tod: Tod) => void): Promise<void> {
  // #region clocks
  return checkClocks({
    untilNs: 10_000n, // virtual nanoseconds: each device fires a few times
    setup: (host) => {
      const clock = virtualClock(host.now);
      const timers = timerQueue(clock);
      const kernel = createKernel({ machineType: "tod-1.0", clock, machine });
      const { tod } = kernel.use(todPlugin({ timers }));
      return {
        kernel,
        start: () => start(tod), // what the guest does at first; not called on a machine that only loads
        run: (untilNs) => runTimers(host, timers, untilNs),
        fired: () => ({ tod: tod.alarms }),
      };
    },
  });
  // #endregion clocks
}

it("finds the sample's alarms where they should be", async () => {
  await check((tod) => tod.setAlarm(1_000n, 3_000n));
});

it("says so where nothing would fire", async () => {
  await expect(check(() => {})).rejects.toMatchObject({ code: "NOTHING_FIRED" });
});
