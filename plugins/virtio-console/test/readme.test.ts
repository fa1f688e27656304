// The README's example is a file that runs.
import { readFileSync } from "node:fs";
import { pciMachine } from "@godwit/virtio-testkit";
import { expect, it } from "vitest";
import { addTerminal } from "../examples/terminal.ts";
import type { VirtioConsolePciOffer } from "../src/pci.ts";
import { SerialDriver, text } from "./support/serial-driver.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/terminal.ts", import.meta.url), "utf8"));
});

it("runs it: the guest writes to its terminal and is typed to, and its agent answers one at a time", () => {
  let shown = "";
  let host: ReturnType<typeof addTerminal> | undefined;
  const machine = pciMachine<VirtioConsolePciOffer>((wiring) => ({
    name: "example",
    version: "0",
    contract: 2,
    setup: (kernel) => {
      let offer: VirtioConsolePciOffer | undefined;
      const use = (plugin: { setup(to: typeof kernel): VirtioConsolePciOffer }) => {
        offer = plugin.setup(kernel);
        return offer;
      };
      const screen = {
        write: (more: string) => {
          shown += more;
        },
      };
      host = addTerminal({ kernel: { use } as never, ...wiring }, screen);
      return offer as unknown as VirtioConsolePciOffer;
    },
  }));
  const driver = new SerialDriver<typeof machine>(machine);
  driver.open(0, 1);
  driver.write(0, "login: ");
  driver.give(0, 8);
  expect([shown, host?.type("root\n"), driver.read(0)]).toEqual(["login: ", 5, ["root\n"]]);
  driver.write(1, "one");
  driver.write(1, "two");
  expect(driver.written(1)).toHaveLength(1);
  expect([host?.next(), host?.next(), host?.next()].map((answer) => answer && text(answer))).toEqual([
    "one",
    "two",
    undefined,
  ]);
  expect(driver.written(1)).toHaveLength(1);
});
