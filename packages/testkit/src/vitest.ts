// @godwit/testkit/vitest: the checks of a plugin as tests of Vitest.
import { describe, it } from "vitest";
import { describePlugin as describeWith } from "./plugin/describe.ts";
import type { PluginTest } from "./plugin/test.ts";

export type { Bench, PluginTest } from "./plugin/test.ts";

/** One test a check. */
export function describePlugin<M>(test: PluginTest<M>): void {
  describeWith(test, { describe, it });
}
