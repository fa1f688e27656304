// Devices and time: a machine is saved at several moments and loaded on hosts whose clocks are days away; all that
// fires must fire at the virtual times at which it does where nothing is migrated.
import { ClockError, type ClockFinding } from "./clocks/finding.ts";
import { type ClockOptions, Harness } from "./clocks/harness.ts";

export { type ClockCode, ClockError, type ClockFinding, clockCodes } from "./clocks/finding.ts";
export type { ClockOptions } from "./clocks/harness.ts";
export { type DueTimers, type HostTimes, runTimers, type SimulatedHost, simulatedHost } from "./clocks/host.ts";
export type { SavedSection, TimedKernel, TimedMachine, TimedSetup } from "./clocks/machine.ts";

/** Throws a `ClockError` with every finding; its `code` is the first one's. */
export async function checkClocks(options: ClockOptions): Promise<void> {
  const findings = await clockFindings(options);
  if (findings.length > 0) throw new ClockError(findings);
}

/** The same as data; empty for a machine that keeps time rightly. */
export async function clockFindings(options: ClockOptions): Promise<readonly ClockFinding[]> {
  return new Harness(options).run();
}
