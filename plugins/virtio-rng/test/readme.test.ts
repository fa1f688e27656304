// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import { timerQueue, virtualClock } from "@godwit/core";
import { pciMachine } from "@godwit/virtio-testkit";
import { expect, it } from "vitest";
import { addEntropy } from "../examples/entropy.ts";
import type { VirtioRngPciOffer } from "../src/pci.ts";
import { RngDriver } from "./support/rng-driver.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/entropy.ts", import.meta.url), "utf8"));
});

it("runs it: a guest gets bytes of its own, and no more than a kilobyte at once", () => {
  const timers = timerQueue(virtualClock(() => 0n));
  const machine = pciMachine<VirtioRngPciOffer>((wiring) => ({
    name: "example",
    version: "0",
    contract: 2,
    setup: (kernel) => {
      // What `use` would do.
      const use = (plugin: { setup(to: typeof kernel): VirtioRngPciOffer }) => {
        offer = plugin.setup(kernel);
        return offer;
      };
      let offer: VirtioRngPciOffer | undefined;
      addEntropy({ kernel: { use } as never, timers, ...wiring });
      return offer as unknown as VirtioRngPciOffer;
    },
  }));
  const driver = new RngDriver<typeof machine>(machine);
  const requests = [driver.ask(1000), driver.ask(1000)];
  const [first, second] = driver.take(requests);
  expect([first?.length, second?.length]).toEqual([1000, 24]);
  expect(new Set(first).size).toBeGreaterThan(100);
});
