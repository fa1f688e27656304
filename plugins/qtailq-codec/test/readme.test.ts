// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { example } from "../examples/lists.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/lists.ts", import.meta.url), "utf8"));
});

it("runs it", () => {
  const { bytes, state } = example();
  expect([...bytes]).toEqual([
    ...[1, 0x40, 0, 0, 0x10, 0, 0, 0, 24, 0, 0, 0, 1, 0],
    ...[0, 0, 0, 0, 0],
    ...[1, 1, 1, 2, 0, 0, 0],
  ]);
  expect(state.buses).toEqual([{ id: 1, children: [{ id: 2, children: [] }] }]);
});
