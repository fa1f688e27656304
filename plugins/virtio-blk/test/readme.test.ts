// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import { pciMachine } from "@godwit/virtio-testkit";
import { expect, it } from "vitest";
import { addDisk } from "../examples/disk.ts";
import type { VirtioBlkPciOffer } from "../src/pci.ts";
import { DiskDriver, sectorOf } from "./support/disk.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/disk.ts", import.meta.url), "utf8"));
});

it.each([false, true])("runs it: a guest writes, zeroes and reads (legacy %s)", (legacy) => {
  const bytes = new Uint8Array(64 * 512);
  const machine = pciMachine<VirtioBlkPciOffer>(
    (wiring) => ({
      name: "example",
      version: "0",
      contract: 2,
      // As if the example's kernel were this one.
      setup: (kernel) => {
        const use = (plugin: { setup(to: typeof kernel): VirtioBlkPciOffer }) => plugin.setup(kernel);
        return addDisk({ kernel: { use } as never, ...wiring }, bytes);
      },
    }),
    { legacy },
  );
  const driver = new DiskDriver<typeof machine>(machine);
  const range = new Uint8Array(16);
  range.set([3], 0);
  range.set([1], 8);
  expect(driver.status(driver.send(0, 1, 2n, sectorOf(7)))).toBe(0);
  expect(driver.status(driver.send(1, 1, 3n, sectorOf(8)))).toBe(0);
  expect(driver.status(driver.send(1, 13, 0n, range))).toBe(0);
  const [kept, zeroed] = [driver.send(0, 0, 2n, 512), driver.send(0, 0, 3n, 512)];
  expect([driver.data(kept), driver.data(zeroed)]).toEqual([sectorOf(7), sectorOf(0)]);
  expect(bytes.subarray(0, 1024).every((byte) => byte === 0)).toBe(true);
});
