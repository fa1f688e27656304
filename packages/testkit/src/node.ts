// @godwit/testkit/node: the checks of a plugin as tests of Node's own runner, and so of those that have it as well.
import { describe, it } from "node:test";
import { describePlugin as describeWith } from "./plugin/describe.ts";
import type { PluginTest } from "./plugin/test.ts";

export type { Bench, PluginTest } from "./plugin/test.ts";

/** One test a check. */
export function describePlugin<M>(test: PluginTest<M>): void {
  // Without a limit of time a device whose `ready` never resolves would hold the run for ever.
  describeWith(test, { describe, it: (name, body, timeout) => it(name, { timeout }, body) });
}
