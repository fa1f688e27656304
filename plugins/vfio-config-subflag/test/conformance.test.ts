// The plugin's promises, by the conformance suite: two functions whose devices work, with interrupts that wait behind
// masks and an attempt that was given up; in each mode, with MSI-X of either size, with MSI, and with the pin.
import { u32, vmstate } from "@godwit/core";
import { describePlugin } from "@godwit/testkit/vitest";
import fc from "fast-check";
import { describe } from "vitest";
import { modelDriver, subFlag, vfioContainer, vfioPci } from "../src/index.ts";
import { PciConfigSpace } from "../src/pci/index.ts";
import { at, testConfig } from "./support/config.ts";
import { modes, path } from "./support/machine.ts";

/** An interrupt controller. Its load is of a controller that knows no routes: whoever has some attaches them behind it. */
const controller = vmstate({ name: "irqchip", version: 1, fields: { routes: u32 } });

const configs = {
  merged: testConfig(),
  "proposal, needed": testConfig({ vectors: 0 }),
  "proposal, not needed": testConfig({ vectors: 33, bytes: 4096 }),
  "proposal, filter": testConfig({ vectors: 0, msiControl: 0x0104 }),
};

/** A configuration space that a guest may have written: what it can change is by chance. */
const written = (config: (typeof configs)["merged"]) =>
  fc.uint8Array({ minLength: config.config.length, maxLength: config.config.length }).map((bytes) => {
    const space = new PciConfigSpace(config);
    for (const [offset, byte] of bytes.entries()) space.write(offset, 1, byte);
    return space.copy();
  });

describe.each(modes)("$name", ({ name, dialect, configOrder }) => {
  const config = configs[name as keyof typeof configs];
  const isAhead = dialect === "proposal" && configOrder !== "not-needed";
  describePlugin({
    setup(bench) {
      const { kernel } = bench;
      const container = vfioContainer();
      const routes = new Set<string>();
      const open = modelDriver({ memoryBytes: 2048, configOrder });
      const devices = [1, 2].map((slot) =>
        bench.use(
          vfioPci({
            path: path(slot),
            container,
            config,
            dialect,
            chunkBytes: 1100,
            driver(host) {
              // A device says again behind a load that a job has ended: no part of the state that was loaded.
              const raise = (vector: number) => driver.state !== "RESUMING" && host.raise(vector);
              const driver = open({ ...host, raise });
              return driver;
            },
            interrupts: {
              attach: (vector) => void routes.add(`${slot}.${vector}`),
              detach: (vector) => void routes.delete(`${slot}.${vector}`),
              signal() {},
            },
            after: ["irqchip"],
          }),
        ),
      );
      kernel.device(controller, { save: () => ({ routes: routes.size }), load: () => routes.clear() });
      return devices.map((device) => device.function);
    },
    exercise(functions, random, { kernel }) {
      const work = () => {
        for (const { driver } of functions) driver.work(random.int(6));
      };
      for (const own of functions) {
        for (let vector = 0; vector < own.interrupts.vectors; vector++) {
          own.msixWrite(16 * vector, 4, 0xfee0_0000 + 4096 * random.int(16));
          own.msixWrite(16 * vector + 8, 4, random.int(256));
          own.msixWrite(16 * vector + 12, 4, random.int(2));
        }
        own.configWrite(at.bar0, 4, random.int(2 ** 32));
        own.configWrite(at.msi + 4, 4, 0xfee0_1000);
        own.configWrite(at.msi + 12, 4, random.int(16));
        own.configWrite(at.msi + 2, 2, random.int(2));
        own.configWrite(at.msix + 2, 2, random.pick([0, 0x8000, 0xc000]));
      }
      work();
      const attempt = kernel.outgoing();
      attempt.setup();
      for (let rounds = random.int(3); rounds > 0; rounds--) {
        attempt.iterate(1 + random.int(3000));
        work();
      }
      attempt.end(false);
      work();
    },
    arbitrary: {
      vfio: () => {
        if (isAhead) return fc.constant({ state: { sub_flag: subFlag.enableInterrupts, device: null } });
        const vectors = name === "merged" ? 4 : 33;
        const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
        const device = fc.record({
          pci_dev: fc.record({
            version_id: fc.constant(2),
            config: written(config),
            irq_state: fc.array(fc.nat(1), { minLength: 4, maxLength: 4 }).map((levels) => Uint32Array.from(levels)),
          }),
          msix_table: bytes(16 * vectors),
          msix_pba: bytes(Math.ceil(vectors / 8)),
        });
        return device.map((device) => ({ state: { sub_flag: subFlag.config | subFlag.enableInterrupts, device } }));
      },
    },
    ...(isAhead && {
      without: [
        {
          check: "versions",
          because:
            "a record of version 1 carries configuration space itself, and so fits no stream whose data brought it, as this driver wants it",
        },
      ],
    }),
    states: 20,
    goldens: new URL(`../goldens/${name.replaceAll(/\W+/g, "-")}/`, import.meta.url),
    sources: new URL("../src/", import.meta.url),
  });
});
