// The checks of a plugin as tests of whatever runner.
import { pluginChecks } from "./all.ts";
import { PluginError } from "./findings.ts";
import { note } from "./note.ts";
import type { PluginTest } from "./test.ts";

/** What `describe` and `it` of Vitest, node:test, bun:test and Jest have in common. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  /** A runner that has no limit of its own may pass over `timeoutMs`. */
  it(name: string, body: () => Promise<void>, timeoutMs: number): unknown;
}

/** A check makes hundreds of machines; what a runner allows to a test is less. Milliseconds. */
const timeoutMs = 120_000;

/**
 * One test a check. A check that is left out stands there with its reason; of one that finds nothing to look at, its
 * reason is in the test's output.
 */
export function describePlugin<M>(test: PluginTest<M>, { describe, it }: TestRunner): void {
  describe("plugin", () => {
    for (const { name, title, find } of pluginChecks(test)) {
      const body = async (): Promise<void> => {
        const { findings, idle } = await find();
        if (findings.length > 0) throw new PluginError(findings);
        if (idle !== undefined && !title.endsWith(idle)) note(`${name}: nothing is checked, because ${idle}`);
      };
      it(title, body, timeoutMs);
    }
  });
}
