import { describe, expect, it } from "vitest";
import { canaries } from "../src/canary.ts";
import { helpText, parseOptions, UsageError } from "../src/options.ts";
import { runSeeds } from "../src/run.ts";

const many = { what: "seeds", from: 1, seeds: 1000, canary: undefined };

describe("the command line", () => {
  it.each([
    ["", many],
    ["--seeds 100000", { ...many, seeds: 100_000 }],
    ["--from 7 --seeds 2", { ...many, from: 7, seeds: 2 }],
    ["--seed 42", { what: "seed", seed: 42, canary: undefined }],
    ["--seed 0 --canary skip-owned", { what: "seed", seed: 0, canary: "skip-owned" }],
    ["--help --seeds x", { what: "help" }],
  ])("%s", (line, options) => {
    expect(parseOptions(line.split(" ").filter(Boolean))).toEqual(options);
  });

  it.each([
    ["--fast", "--fast"],
    ["more", "more"],
    ["--seed", "--seed"],
    ["--seeds=", '--seeds takes a whole number from 1 on, not ""'],
    ["--seeds 0", '--seeds takes a whole number from 1 on, not "0"'],
    ["--seeds=-3", '--seeds takes a whole number from 1 on, not "-3"'],
    ["--seed 1e3", '--seed takes a whole number from 0 on, not "1e3"'],
    ["--from 9007199254740993", '--from takes a whole number from 0 on, not "9007199254740993"'],
    ["--seed 1 --seeds 2", "--seed is one seed: without --seeds and --from"],
    ["--seed 1 --from 2", "--seed is one seed: without --seeds and --from"],
    ["--canary bird", 'not "bird"'],
  ])("%s is wrong, and it says why", (line, text) => {
    let thrown: unknown;
    try {
      parseOptions(line.split(" "));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(UsageError);
    expect((thrown as Error).message).toContain(text);
  });

  it("is explained, with every canary", () => {
    for (const canary of canaries) expect(helpText).toContain(canary);
  });
});

it("many seeds that fail are counted, and only the first ones kept", async () => {
  let told = 0;
  const each = ({ violations }: { readonly violations: readonly string[] }): boolean => {
    if (violations.length > 0) told++;
    return told < 7;
  };
  const { failed, failures } = await runSeeds({ from: 1, seeds: 2000, canary: "forget-dirty-page", each });
  expect([failed, failures.length]).toEqual([7, 5]);
});
