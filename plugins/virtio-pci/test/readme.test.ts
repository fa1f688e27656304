// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import { createKernel, virtualClock } from "@godwit/core";
import { expect, it } from "vitest";
import { addFunction } from "../examples/function.ts";
import { echo } from "./support/echo.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/function.ts", import.meta.url), "utf8"));
});

it("runs it: a guest finds the device, places its BARs, and reads both kinds of registers there", () => {
  const kernel = createKernel({
    machineType: "example",
    machine: { pause() {}, resume() {}, reset() {} },
    clock: virtualClock(() => 0n),
  });
  const memory = { read: () => new Uint8Array(0), write() {} };
  const dma = { after: [], ...memory, staged: () => memory };
  const pci = addFunction({ kernel, dma, signalMsi() {}, setIntx() {} }, echo([8, 4], 4));
  expect(pci.readConfig(0, 4)).toBe(0x1005_1af4);
  expect(pci.read(0xc000, 4)).toBeUndefined();
  pci.writeConfig(0x10, 4, 0xc000);
  pci.writeConfig(0x20, 4, 0xfebe_4000);
  pci.writeConfig(0x04, 2, 7);
  expect([pci.read(0xc000, 4), pci.read(0xc00c, 2), pci.read(0xfebe_4012, 2)]).toEqual([0x3800_0005, 8, 2]);
});
