// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import type { KernelForPlugins } from "@godwit/core";
import { pciMachine } from "@godwit/virtio-testkit";
import { expect, it } from "vitest";
import { addDisks } from "../examples/disks.ts";
import type { VirtioScsiPciOffer } from "../src/pci.ts";
import { cdb, ScsiDriver } from "./support/driver.ts";
import { sectorOf } from "./support/images.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/disks.ts", import.meta.url), "utf8"));
});

it("runs it: a guest finds two disks, writes one, and cannot write the other", () => {
  const [system, media] = [new Uint8Array(64 * 512), new Uint8Array(8 * 512).fill(9)];
  const machine = pciMachine<VirtioScsiPciOffer>((wiring) => ({
    name: "example",
    version: "0",
    contract: 2,
    // As if the example's kernel were this one.
    setup: (kernel) => {
      const use = (plugin: { setup(to: KernelForPlugins): VirtioScsiPciOffer }) => plugin.setup(kernel);
      return addDisks({ kernel: { use } as never, ...wiring }, system, media);
    },
  }));
  const driver = new ScsiDriver<typeof machine>(machine);
  expect(driver.ask(cdb.reportLuns(64), 64).data[3]).toBe(16);
  driver.greet();
  driver.greet({ lun: 1 });
  expect(driver.ask(cdb.write10(2, 1), sectorOf(7), { queue: 1 })).toMatchObject({ response: 0, status: 0 });
  expect(driver.ask(cdb.write10(2, 1), sectorOf(7), { lun: 1 })).toMatchObject({ sense: [7, 0x27, 0] });
  expect(driver.ask(cdb.read10(2, 1), 512).data).toEqual(sectorOf(7));
  expect([system[1024], media[1024]]).toEqual([7, 9]);
});
