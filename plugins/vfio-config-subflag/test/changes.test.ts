// Configuration space that changes while it is on its way: by the guest, by the driver as it stops, and by the driver's
// last read. Device data is placed by BAR 0, so that data behind the wrong configuration would be refused or misplaced.
import { encodeVfioSection, type ModelDriver, modelDriver, vfioContainer, vfioPci } from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { at, testConfig } from "./support/config.ts";
import { delegate } from "./support/delegate.ts";
import { boot, contents, modes, path, send, testMachine } from "./support/machine.ts";
import { outline, rejection, vfioSections, withBody } from "./support/walk.ts";

const ahead = modes.filter(({ configOrder }) => configOrder !== "not-needed");
const moved = 0xfd20_0000;

describe.each(modes)("$name", ({ dialect, configOrder }) => {
  it("takes what the guest wrote between the last round and completion", async () => {
    const [source, target] = [testMachine([{ dialect, configOrder }]), testMachine([{ dialect, configOrder }])];
    boot(source);
    const own = source.devices[0]?.function;
    const { bytes } = await send(source, {
      between: () => own?.driver.work(40),
      last() {
        own?.driver.work(5);
        own?.configWrite(at.bar0, 4, moved);
        own?.msixWrite(16, 4, 0xfee0_5000);
      },
    });
    await target.kernel.load(bytes);
    expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
    expect(target.devices[0]?.function.configRead(at.bar0, 4)).toBe(moved);
  });

  it("takes what the driver changes as it stops", async () => {
    const stopping = {
      stopping: (host: { writeConfig(at: number, bytes: Uint8Array): void }) =>
        host.writeConfig(at.vendorValue, Uint8Array.of(0x5a)),
    };
    const [source, target] = [
      testMachine([{ dialect, configOrder, ...stopping }]),
      testMachine([{ dialect, configOrder }]),
    ];
    boot(source);
    const { bytes } = await send(source, { between: () => source.devices[0]?.function.driver.work(4) });
    await target.kernel.load(bytes);
    expect(target.devices[0]?.function.configRead(at.vendorValue, 1)).toBe(0x5a);
    expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
  });
});

it("sends the configuration again at completion: the copy of the last round is not the one that is loaded", async () => {
  const options = { dialect: "proposal", configOrder: "needed" } as const;
  const source = testMachine([options]);
  boot(source);
  const own = source.devices[0]?.function;
  const { bytes } = await send(source, {
    between: () => own?.driver.work(4),
    last: () => own?.configWrite(at.bar0, 4, moved),
  });
  const bars = vfioSections(bytes).flatMap(({ phase, records }) =>
    records.flatMap((record) => {
      if (record.marker !== "DEV_CONFIG_STATE" || record.device === undefined) return [];
      const { config } = record.device["pci_dev"] as { config: Uint8Array };
      return [[phase, new DataView(config.buffer, config.byteOffset).getUint32(at.bar0, true)]];
    }),
  );
  expect(bars).toEqual([
    ["part", 0xfe00_0000],
    ["end", moved],
  ]);
  // The proof: without the copy at completion the data that follows is placed by the old one, and refused.
  const end = vfioSections(bytes).find(({ phase }) => phase === "end");
  if (end === undefined) throw new Error("no END");
  const stripped = { version: 2, records: end.records.filter(({ marker }) => marker !== "DEV_CONFIG_STATE") };
  own?.driver.work(1);
  const error = await rejection(
    testMachine([options]).kernel.load(withBody(bytes, "end", encodeVfioSection(stripped))),
  );
  expect(error.code === "VFIO_CONFIG" || error.code === "VFIO_DRIVER").toBe(true);
});

describe.each(ahead)("$name", ({ dialect, configOrder }) => {
  it("sends once more what the driver's last read changed", async () => {
    const machines = [true, false].map((changes) => {
      const machine = testMachine([]);
      const container = vfioContainer();
      const offer = machine.kernel.use(
        vfioPci<ModelDriver>({
          path: path(1),
          container,
          dialect,
          config: testConfig(),
          after: ["irqchip"],
          interrupts: { attach() {}, detach() {}, signal() {} },
          driver: (host) => {
            const inner = modelDriver({ memoryBytes: 4096, configOrder })(host);
            return delegate(inner, {
              read(into) {
                const size = inner.read(into);
                if (changes && size === 0) host.writeConfig(at.vendorValue, Uint8Array.of(0x77));
                return size;
              },
            });
          },
        }),
      );
      return { kernel: machine.kernel, offer, machine };
    });
    const [source, target] = machines;
    if (source === undefined || target === undefined) throw new Error("no machines");
    source.kernel.resume();
    const { bytes } = await send({ ...source.machine, kernel: source.kernel }, { rounds: 1 });
    expect(vfioSections(bytes).map(outline).at(-2)).toBe("end: CONFIG(1) DATA CONFIG(1) END_OF");
    await target.kernel.load(bytes);
    expect(target.offer.function.configRead(at.vendorValue, 1)).toBe(0x77);
    expect(contents(target.offer)).toEqual(contents(source.offer));
  });
});

it("a filter driver takes configuration behind the data that it is for, and no other takes any", async () => {
  for (const { dialect, configOrder } of ahead) {
    const [source, target] = [testMachine([{ dialect, configOrder }]), testMachine([{ dialect, configOrder }])];
    boot(source);
    const { bytes } = await send(source, { rounds: 2, between: () => source.devices[0]?.function.driver.work(3) });
    // DATA ahead of CONFIG, wherever both are.
    const reordered = ["part", "end"].reduce((stream, phase) => {
      const section = vfioSections(stream).find((one) => one.phase === phase);
      if (section === undefined) throw new Error(`no ${phase}`);
      const order = ["DEV_DATA_STATE", "DEV_CONFIG_STATE", "END_OF_STATE"];
      const records = section.records.toSorted((a, b) => order.indexOf(a.marker) - order.indexOf(b.marker));
      return withBody(stream, phase, encodeVfioSection({ version: 2, records }));
    }, bytes);
    if (configOrder === "filter") {
      await target.kernel.load(reordered);
      expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
      continue;
    }
    const error = await rejection(target.kernel.load(reordered));
    expect([error.code, error.location.path]).toEqual(["VFIO_DRIVER", "records[0].data"]);
    expect(error.detail).toContain("device data came before configuration space");
  }
});
