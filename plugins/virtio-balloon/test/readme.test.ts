// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import { pciMachine } from "@godwit/virtio-testkit";
import { expect, it } from "vitest";
import { addBalloon } from "../examples/balloon.ts";
import type { VirtioBalloonPciOffer } from "../src/pci.ts";
import type { MemoryStatistics } from "../src/statistics.ts";
import { BalloonDriver } from "./support/balloon-driver.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/balloon.ts", import.meta.url), "utf8"));
});

it("runs it: the guest is asked for pages, gives one, and tells how it is", () => {
  const memory = new Uint8Array(1 << 20).fill(7);
  const told: MemoryStatistics[] = [];
  let ask: (bytes: number) => void = () => {};
  const machine = pciMachine<VirtioBalloonPciOffer>((wiring) => ({
    name: "example",
    version: "0",
    contract: 2,
    setup: (kernel) => {
      let offer: VirtioBalloonPciOffer | undefined;
      const use = (plugin: { setup(to: typeof kernel): VirtioBalloonPciOffer }) => {
        offer = plugin.setup(kernel);
        return offer;
      };
      ask = addBalloon({ kernel: { use } as never, memory, ...wiring }, (one) => told.push(one));
      return offer as unknown as VirtioBalloonPciOffer;
    },
  }));
  const driver = new BalloonDriver<typeof machine>(machine);
  driver.statistics([5, 1n << 20n]);
  ask(2 * 4096 + 1);
  expect([machine.offer.balloon.target, driver.ring(2).reap().length, machine.messages]).toEqual([2, 1, [0, 3]]);
  driver.pages(0, 3);
  expect([memory[0x2fff], memory[0x3000], memory[0x3fff], memory[0x4000]]).toEqual([7, 0, 0, 7]);
  expect(told).toEqual([{ totalMemory: 1n << 20n }]);
});
