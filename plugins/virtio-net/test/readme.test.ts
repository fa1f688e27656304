// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import { pciMachine } from "@godwit/virtio-testkit";
import { expect, it } from "vitest";
import { addNetwork } from "../examples/network.ts";
import type { VirtioNetPciOffer } from "../src/pci.ts";
import { frame, NetDriver, numberOf, own } from "./support/net-driver.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/network.ts", import.meta.url), "utf8"));
});

it("runs it: frames go both ways, and what waited is taken over", () => {
  const sent: number[] = [];
  const make = () => {
    let network: ReturnType<typeof addNetwork> | undefined;
    const machine = pciMachine<VirtioNetPciOffer>((wiring) => ({
      name: "example",
      version: "0",
      contract: 2,
      // As if the example's kernel were this one.
      setup: (kernel) => {
        let offer: VirtioNetPciOffer | undefined;
        const use = (plugin: { setup(to: typeof kernel): VirtioNetPciOffer }) => {
          offer = plugin.setup(kernel);
          return offer;
        };
        network = addNetwork({ kernel: { use } as never, ...wiring, send: (one) => sent.push(numberOf(one)) });
        return offer as unknown as VirtioNetPciOffer;
      },
    }));
    return { machine, network: network as ReturnType<typeof addNetwork> };
  };
  const here = make();
  const driver = new NetDriver<typeof here.machine>(here.machine);
  driver.controlAt(4);
  driver.send(frame(own, 1));
  expect([sent, here.network.receive(frame(own, 2))]).toEqual([[1], "queued"]);
  const there = make();
  const next = new NetDriver<typeof there.machine>(there.machine);
  there.network.takeOver(here.network.net);
  next.give();
  expect(next.take().map(numberOf)).toEqual([2]);
});
