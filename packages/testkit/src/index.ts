// @godwit/testkit: proves that a plugin's devices survive their migrations. Nothing of a test runner is in here.

export { pluginChecks, pluginFindings } from "./plugin/all.ts";
export type { CheckResult, PluginCheck } from "./plugin/check.ts";
export { describePlugin, type TestRunner } from "./plugin/describe.ts";
export {
  type CheckName,
  checks,
  type PluginCode,
  PluginError,
  type PluginFinding,
  pluginCodes,
} from "./plugin/findings.ts";
export type { Random } from "./plugin/random.ts";
export type { Arbitraries, Bench, Folder, LeftOut, PluginClocks, PluginTest } from "./plugin/test.ts";
