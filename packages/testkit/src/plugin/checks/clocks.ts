// The clock harness, for a plugin whose test says when its devices fire.

import { runTimers } from "../../clocks/host.ts";
import type { TimedSetup } from "../../clocks/machine.ts";
import { clockFindings } from "../../clocks.ts";
import type { CheckFunction } from "../check.ts";
import type { Lab } from "../lab.ts";
import type { PluginClocks } from "../test.ts";

export const clocksCheck: CheckFunction = async (lab, findings) => {
  const { clocks, wallFields } = lab.test;
  if (clocks === undefined) return "the test has no `clocks`: it says of no device when it fires";
  const { untilNs } = clocks;
  const setup = timedSetup(lab, clocks);
  for (const { code, device, path, text, cause } of await clockFindings({
    setup,
    untilNs,
    ...(wallFields && { wallFields }),
  })) {
    findings.add(code, { section: device, path, text, cause });
  }
  return undefined;
};

function timedSetup<M>(lab: Lab<M>, { start, fired, run, wall }: PluginClocks<M>): TimedSetup {
  return (host) => {
    const { bench, machine } = lab.make({ host });
    const clock = wall?.(machine);
    return {
      kernel: bench.kernel,
      start: () => start(machine),
      run: (untilNs) => (run === undefined ? runTimers(host, bench.timers, untilNs) : run(machine, untilNs)),
      fired: () => fired(machine),
      ...(clock && { wall: clock }),
    };
  };
}
