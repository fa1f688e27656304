// The README's example is a file that runs; its table of errors is the code's.
import { readFileSync } from "node:fs";
import { spaprErrorCodes, spaprFamilies } from "@godwit/spapr-drc-ccs";
import { expect, it } from "vitest";
import { half } from "../examples/half-fetched.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/half-fetched.ts", import.meta.url), "utf8"));
});

it("runs it: a node, its name | a child, its register, back to the parent, done", async () => {
  expect(await half()).toEqual([2, 3, 2, 3, 4, 0]);
});

it("names every section that it describes, and every error code", () => {
  for (const { name } of spaprFamilies) expect(readme).toContain(`\`${name}\``);
  for (const code of Object.keys(spaprErrorCodes)) expect(readme).toContain(`\`${code}\``);
});
