// The checks as a runner's tests: one each, by name; a failing one rejects with what it found and what to do.
import { describe, expect, it } from "vitest";
import { checks, describePlugin, PluginError, type PluginTest, pluginChecks } from "../src/index.ts";
import { ForgetsField } from "./planted/devices.ts";
import { variedTest } from "./planted/plugin.ts";
import type { TodOffer } from "./sample-plugin/src/index.ts";

function testsOf(test: PluginTest<TodOffer>): ReadonlyMap<string, () => Promise<void>> {
  const tests = new Map<string, () => Promise<void>>();
  describePlugin(test, { describe: (_, body) => body(), it: (name, body) => tests.set(name, body) });
  return tests;
}

describe("describePlugin", () => {
  it("gives one test a check, in their order, named by what it proves", () => {
    const titles = Object.entries(checks).map(([name, says]) => `${name}: ${says}`);
    expect([...testsOf(variedTest({})).keys()]).toEqual(titles);
  });

  it("lets a test fail with the code, the place, and what to do", async () => {
    const tests = testsOf(variedTest({ device: ForgetsField }));
    const error = await tests
      .get(`saves: ${checks.saves}`)?.()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PluginError);
    const { code, findings, message } = error as PluginError;
    expect(code).toBe("STATE_LOST");
    expect(findings.map(({ section, path }) => [section, path])).toEqual([["tod/0", "period"]]);
    expect(message).toContain("STATE_LOST (tod/0 period): ");
    expect(message).toContain("what to do: let `load` take over every described field");
    await expect(tests.get(`order: ${checks.order}`)?.()).resolves.toBeUndefined();
  });

  it("names what is left out, with its reason, and does not run it", async () => {
    const without = [{ check: "saves", because: "its back end is a disk" }] as const;
    const tests = testsOf(variedTest({ device: ForgetsField }, { without }));
    await expect(tests.get("saves: left out, because its back end is a disk")?.()).resolves.toBeUndefined();
    expect(tests.size).toBe(Object.keys(checks).length);
  });

  it("tears down every machine that a check made", async () => {
    let open = 0;
    const { setup } = variedTest({});
    const counted: PluginTest<TodOffer> = {
      ...variedTest({}),
      setup: (bench) => {
        open++;
        return setup(bench);
      },
      teardown: () => {
        open--;
      },
    };
    let most = 0;
    for (const check of pluginChecks(counted).filter(({ name }) => name === "saves" || name === "order")) {
      await check.run();
      most++;
      expect(open).toBe(0);
    }
    expect(most).toBe(2);
  });
});

it("says why a check has nothing to look at", async () => {
  const idle: [string, string][] = [];
  for (const { name, find } of pluginChecks(variedTest({}))) {
    const { idle: why } = await find();
    if (why !== undefined) idle.push([name, why]);
  }
  expect(idle).toEqual([["clocks", "the test has no `clocks`: it says of no device when it fires"]]);
});
