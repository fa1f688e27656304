// @godwit/testkit/node: the checks of a plugin as tests of Node's own runner, and so of those that have it as well.
import { describe, it } from "node:test";
import { describePlugin as describeWith } from "./plugin/describe.ts";
import type { PluginTest } from "./plugin/test.ts";

export type { Bench, PluginTest } from "./plugin/test.ts";

/** One test a check. */
export function describePlugin<M>(test: PluginTest<M>): void {
  // Its second argument would be options: a limit of time is none of its defaults.
  describeWith(test, { describe, it: (name, body) => it(name, body) });
}
