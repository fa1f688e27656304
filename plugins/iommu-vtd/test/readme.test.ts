// The README's example is a file that runs, with a guest that programs the unit; its tables are those of the code.
import { readFileSync } from "node:fs";
import { createKernel, virtualClock } from "@godwit/core";
import { expect, it } from "vitest";
import { assemble, inspect } from "../examples/unit.ts";
import { sequences } from "./support/sequences.ts";
import { Driver, IRE, IRTA, page2M, SIRTP, sectionOf, Tables, TestMemory } from "./support.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/unit.ts", import.meta.url), "utf8"));
});

it("runs it", () => {
  const machine = { pause() {}, resume() {}, reset() {} };
  const kernel = createKernel({ machineType: "test", machine, clock: virtualClock(() => 0n) });
  const memory = new TestMemory(2 * page2M);
  const delivered: number[][] = [];
  const ram = { memory, after: [], staged: () => memory };
  const { iommu, disk } = assemble(kernel, ram, (...message) => delivered.push(message));

  const tables = new Tables(memory);
  tables.map(tables.attach(0x10, 7, 4), 4, 0x1000, 0x9000);
  const interrupts = tables.page();
  memory.set64(interrupts + 16 * 5, (0x300n << 32n) | (0x61n << 16n) | 1n);
  memory.set64(interrupts + 16 * 5 + 8, 0x4_0010n);
  const driver = new Driver({ iommu });
  driver.set64(IRTA, BigInt(interrupts) | 7n);
  driver.command(SIRTP);
  driver.command(IRE);
  driver.enable(tables.root);

  disk.dma.write(0x1004, Uint8Array.of(1, 2, 3));
  expect(memory.bytes.slice(0x9004, 0x9007)).toEqual(Uint8Array.of(1, 2, 3));
  disk.signalMsi(0xfee0_00b0, 0);
  expect(delivered).toEqual([[0xfee0_3000, 0x4061, 0]]);
  expect(inspect(sectionOf(kernel), memory.bytes)).toEqual({ gpa: 0x9004, vector: 0x61 });
});

it("names every option with the property of QEMU that it stands for", () => {
  const source = readFileSync(new URL("../src/capability.ts", import.meta.url), "utf8");
  const options = [...source.matchAll(/\[([a-z-]+)\][\s\S]*?readonly (\w+)\?/g)].map(([, property, option]) => [
    option,
    property,
  ]);
  expect(options.length).toBe(10);
  const named = [...readme.matchAll(/^\| `(\w+)` +\| `([a-z-]+)`/gm)].map(([, option, property]) => [option, property]);
  expect(named).toEqual(options);
});

it("says how many sequences are compared, and on purpose not the same", () => {
  const differing = sequences.filter(({ differs }) => differs !== undefined);
  expect(readme).toContain(`${sequences.length} sequences`);
  expect(readme).toContain(`${differing.length} of them end otherwise`);
});
