// The README says what is: its ten lines are a test that runs, its tables the codes and checks.
import { readFileSync } from "node:fs";
import { createKernel, type Kernel, u8, virtualClock, vmstate } from "@godwit/core";
import { expect, it } from "vitest";
import { survivesAFailure } from "../examples/failing.ts";
import { checks, pluginCodes } from "../src/index.ts";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const readme = read("../README.md");

function tableUnder(heading: string): string[][] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("|"));
  const cells = rows.map((row) =>
    row
      .slice(1, -1)
      .split(" | ")
      .map((cell) => cell.trim()),
  );
  return cells.slice(2);
}

it("shows the sample plugin's own test", () => {
  const [, example] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  const [, ...own] = read("sample-plugin/tod.test.ts").split("\n");
  expect(example).toBe(own.join("\n"));
});

it("lists the checks", () => {
  expect(tableUnder("What is checked")).toEqual(Object.entries(checks).map(([name, says]) => [`\`${name}\``, says]));
});

it("lists the codes", () => {
  const codes = Object.entries(pluginCodes).map(([code, { says, remedy }]) => [`\`${code}\``, says, remedy]);
  expect(tableUnder("What is found")).toEqual(codes);
});

it("runs the example of a device that fails", async () => {
  const kernel = createKernel({
    machineType: "example",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const lamp = { level: 7 };
  const description = vmstate({ name: "lamp", version: 1, fields: { level: u8 } });
  kernel.device(description, { save: () => lamp, load: ({ level }) => Object.assign(lamp, { level }) });
  const saved = (of: Kernel) => {
    const bytes = of.snapshot();
    lamp.level = 3;
    return bytes;
  };
  const result = await survivesAFailure({ kernel, look: () => lamp.level }, saved);
  expect([result.refused, result.untouched, lamp.level]).toEqual(["DEVICE_FAILED", true, 7]);
});
