// The checks of a plugin, in their order.
import { causesOf } from "./causes.ts";
import { type CheckFunction, type PluginCheck, pluginCheck } from "./check.ts";
import { allocationCheck } from "./checks/allocation.ts";
import { clocksCheck } from "./checks/clocks.ts";
import { goldensCheck } from "./checks/goldens.ts";
import { hostsCheck } from "./checks/hosts.ts";
import { independenceCheck } from "./checks/independence.ts";
import { lawsCheck } from "./checks/laws.ts";
import { manifestCheck } from "./checks/manifest.ts";
import { orderCheck } from "./checks/order.ts";
import { refusalsCheck } from "./checks/refusals.ts";
import { runtimeCheck } from "./checks/runtime.ts";
import { savesCheck } from "./checks/saves.ts";
import { statesCheck } from "./checks/states.ts";
import { versionsCheck } from "./checks/versions.ts";
import { type CheckName, checks, type PluginFinding } from "./findings.ts";
import type { PluginTest } from "./test.ts";

const functions: Record<CheckName, CheckFunction> = {
  manifest: manifestCheck,
  saves: savesCheck,
  states: statesCheck,
  laws: lawsCheck,
  refusals: refusalsCheck,
  versions: versionsCheck,
  order: orderCheck,
  hosts: hostsCheck,
  clocks: clocksCheck,
  runtime: runtimeCheck,
  allocation: allocationCheck,
  independence: independenceCheck,
  goldens: goldensCheck,
};

/** The checks, for any test runner: each `run` rejects with a `PluginError` where it found something. */
export function pluginChecks<M>(test: PluginTest<M>): readonly PluginCheck[] {
  return (Object.keys(checks) as CheckName[]).map((name) => pluginCheck(test, name, functions[name]));
}

/**
 * What the checks find, as data; empty for a plugin that survives its migrations. What several checks find is told once,
 * by the first of them, and what follows from another finding is left out.
 */
export async function pluginFindings<M>(test: PluginTest<M>): Promise<readonly PluginFinding[]> {
  const findings: PluginFinding[] = [];
  for (const check of pluginChecks(test)) findings.push(...(await check.find()).findings);
  return causesOf(findings);
}
