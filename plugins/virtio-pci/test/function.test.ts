// A virtio PCI function as its driver meets it: configuration space, BARs, negotiation, requests, interrupts.
import { feature } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { virtioPci } from "../src/index.ts";
import { Driver, statusAt } from "./support/driver.ts";
import { echo } from "./support/echo.ts";
import { type Options, pciMachine } from "./support/machine.ts";
import { sectionIn } from "./support/sections.ts";

const wanted = feature.VERSION_1 | feature.ACCESS_PLATFORM | 0b101n;

function started(options: Options = {}) {
  const machine = pciMachine(options);
  const driver = new Driver(machine.offer.function, machine.memory);
  driver.enable();
  driver.enableMsix();
  expect(driver.start(wanted)).toBe(15);
  return { ...machine, driver, pci: machine.offer.function };
}

describe("configuration space", () => {
  it("is a modern virtio function's, with QEMU's capabilities", () => {
    const { function: pci } = pciMachine().offer;
    expect(pci.bdf).toBe("00:02.0");
    expect([0, 2, 8, 0x2c, 0x2e].map((at) => pci.configRead(at, 2))).toEqual([
      0x1af4,
      0x1040 + 30,
      0x0001,
      0x1af4,
      0x1100,
    ]);
    const list: [number, number, number][] = [];
    for (let at = pci.configRead(0x34, 1); at !== 0; at = pci.configRead(at + 1, 1)) {
      list.push([at, pci.configRead(at, 1), pci.configRead(at + 3, 1)]);
    }
    expect(list).toEqual([
      [0x98, 0x11, 0],
      [0x84, 9, 5],
      [0x70, 9, 2],
      [0x60, 9, 4],
      [0x50, 9, 3],
      [0x40, 9, 1],
    ]);
    expect(pci.configRead(0x100, 4)).toBe(0xffff_ffff);
    expect(pci.configRead(0xfe, 4)).toBe(0xffff_0000);
  });

  it("tells BAR sizes, and addresses once memory is decoded", () => {
    const { function: pci } = pciMachine().offer;
    const [table, modern] = pci.bars as [(typeof pci.bars)[0], (typeof pci.bars)[0]];
    expect([table.index, table.size, modern.index, modern.size]).toEqual([1, 4096, 4, 0x4000]);
    for (const at of [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24]) pci.configWrite(at, 4, 0xffff_ffff);
    const sizes = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map((at) => pci.configRead(at, 4));
    expect(sizes).toEqual([0, 0xffff_f000, 0, 0, 0xffff_c00c, 0xffff_ffff]);
    pci.configWrite(0x14, 4, 0xfebf_b000);
    pci.configWrite(0x20, 4, 0xfebe_4000);
    pci.configWrite(0x24, 4, 1);
    expect([table.address(), modern.address()]).toEqual([undefined, undefined]);
    pci.configWrite(4, 2, 2);
    expect([table.address(), modern.address()]).toEqual([0xfebf_b000, 0x1_febe_4000]);
    pci.configWrite(0x14, 4, 0xffff_ffff);
    expect(table.address()).toBeUndefined();
  });

  it("keeps what is not the guest's", () => {
    const { function: pci } = pciMachine().offer;
    for (let at = 0; at < 256; at += 4) pci.configWrite(at, 4, 0);
    const zeroed = [0x00, 0x08, 0x2c, 0x34, 0x40, 0x98].map((at) => pci.configRead(at, 4));
    expect(zeroed).toEqual([0x105e_1af4, 0x00ff_0001, 0x1100_1af4, 0x98, 0x0110_0009, 0x0002_8411]);
    for (let at = 0; at < 256; at += 4) pci.configWrite(at, 4, 0xffff_ffff);
    expect([0x00, 0x04, 0x2c, 0x40].map((at) => pci.configRead(at, 4))).toEqual([
      0x105e_1af4, 0x0010_0507, 0x1100_1af4, 0x0110_0009,
    ]);
  });

  it("has a window into the modern BAR", () => {
    const { pci, driver } = started();
    const at = driver.capability(9, 5);
    const through = (offset: number, size: number) => {
      pci.configWrite(at + 4, 1, 4);
      pci.configWrite(at + 8, 4, offset);
      pci.configWrite(at + 12, 4, size);
    };
    through(statusAt, 1);
    expect(pci.configRead(at + 16, 1)).toBe(15);
    pci.configWrite(at + 16, 1, 0);
    expect(driver.common.read(statusAt, 1)).toBe(0);
    through(0x2000, 4);
    expect(pci.configRead(at + 16, 4)).toBe(0x4433_2211);
    through(0x3fff, 4);
    expect(pci.configRead(at + 16, 4)).toBe(0);
  });
});

describe("the common configuration structure", () => {
  it("negotiates, and refuses a driver that does not accept what it must", () => {
    const { offer, memory } = pciMachine();
    const driver = new Driver(offer.function, memory);
    driver.enable();
    const offered = driver.offered();
    expect(offered).toBe(wanted | feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX | feature.RING_RESET);
    expect(driver.start(0b101n | feature.ACCESS_PLATFORM)).toBe(3);
    expect(driver.start(0b101n | feature.VERSION_1)).toBe(3);
    expect(driver.start(wanted)).toBe(15);
    expect(offer.device).toMatchObject({ features: wanted, status: 15, running: true, broken: false });
  });

  it("has every register", () => {
    const { driver } = started();
    const { common } = driver;
    common.write(0x16, 2, 1);
    const registers: [number, number][] = [
      [0x00, 4],
      [0x08, 4],
      [0x0c, 4],
      [0x10, 2],
      [0x12, 2],
      [0x14, 1],
      [0x15, 1],
      [0x16, 2],
      [0x18, 2],
      [0x1a, 2],
      [0x1c, 2],
      [0x1e, 2],
      [0x20, 4],
      [0x24, 4],
      [0x28, 4],
      [0x30, 4],
      [0x38, 4],
    ];
    expect(registers.map(([at, size]) => common.read(at, size))).toEqual([
      0, 1, 3, 0, 2, 15, 0, 1, 4, 2, 1, 1, 0x2000, 0, 0x2040, 0x2800, 0,
    ]);
    common.write(0x16, 2, 7);
    expect([0x18, 0x1a, 0x1c, 0x20].map((at) => common.read(at, 2))).toEqual([0, 0xffff, 0, 0]);
  });

  it("gives vectors that the table has, and none for others", () => {
    const { driver } = started();
    driver.common.write(0x10, 2, 3);
    driver.common.write(0x1a, 2, 0x1234);
    expect([driver.common.read(0x10, 2), driver.common.read(0x1a, 2)]).toEqual([0xffff, 0xffff]);
  });

  it("lets the driver make a ring smaller, not larger", () => {
    const { driver } = started();
    const { common } = driver;
    common.write(0x16, 2, 0);
    common.write(0x18, 2, 4);
    expect(common.read(0x18, 2)).toBe(4);
    common.write(0x18, 2, 64);
    expect(common.read(0x18, 2)).toBe(4);
  });

  it("reads and writes the device's own configuration", () => {
    const { driver, model, messages } = started();
    const own = driver.structure(4);
    expect([own.read(0, 1), own.read(2, 2), own.read(4, 4), own.read(8, 1)]).toEqual([0x11, 0x4433, 0x8877_6655, 0xff]);
    own.write(2, 2, 0xabcd);
    expect(Array.from(model.config.subarray(1, 5))).toEqual([0x22, 0xcd, 0xab, 0x55]);
    model.device.configChanged();
    expect([driver.common.read(0x15, 1), messages]).toEqual([1, ["fee00000: 100"]]);
  });
});

describe("requests", () => {
  it("are answered, each queue with its own message", () => {
    const { driver, messages, model } = started();
    driver.add(0, [1, 2, 3]);
    driver.add(0, [4]);
    expect(driver.take(0)).toEqual([]);
    driver.kick(0);
    expect(driver.take(0)).toEqual([[2, 3, 4], [5]]);
    driver.add(1, [7, 7]);
    driver.kick(1);
    expect(driver.take(1)).toEqual([[8, 8]]);
    expect(messages).toEqual(["fee00000: 101", "fee00000: 102"]);
    expect(model.served).toBe(3);
  });

  it("by line: the level stands until the interrupt status is read", () => {
    const machine = pciMachine();
    const driver = new Driver(machine.offer.function, machine.memory);
    driver.enable();
    driver.start(wanted, false);
    machine.line.length = 0;
    driver.add(0, [1]);
    driver.kick(0);
    expect([machine.line.at(-1), machine.messages]).toEqual([true, []]);
    expect(driver.pci.configRead(6, 2) & 8).toBe(8);
    driver.pci.configWrite(4, 2, 0x406);
    expect(machine.line.at(-1)).toBe(false);
    driver.pci.configWrite(4, 2, 6);
    expect(machine.line.at(-1)).toBe(true);
    expect(driver.structure(3).read(0, 1)).toBe(1);
    expect(machine.line.at(-1)).toBe(false);
    expect([driver.structure(3).read(0, 1), driver.pci.configRead(6, 2) & 8]).toEqual([0, 0]);
  });

  it("of a function without MSI-X come by line, and there is no table", () => {
    const machine = pciMachine({ msixVectors: 0 });
    const driver = new Driver(machine.offer.function, machine.memory);
    driver.enable();
    driver.start(wanted);
    expect(driver.pci.bars.map(({ index }) => index)).toEqual([4]);
    expect(() => driver.capability(0x11)).toThrow("no capability");
    expect(driver.common.read(0x10, 2)).toBe(0xffff);
    driver.add(0, [1]);
    driver.kick(0);
    expect(machine.line.at(-1)).toBe(true);
  });

  it("reach nothing while the function is no bus master: the device is disabled, and has stopped, as in QEMU", async () => {
    const { driver, offer, save } = started();
    driver.add(0, [1]);
    driver.enable(2);
    driver.kick(0);
    expect(driver.take(0)).toEqual([]);
    expect(offer.device).toMatchObject({ broken: false, status: 11, running: false });
    const bytes = await save();
    const section = Buffer.from(sectionIn(bytes, "0000:00:02.0/virtio-echo"));
    expect([section.includes("virtio/disabled"), section.includes("virtio/started")]).toEqual([true, false]);
    const target = pciMachine();
    await target.kernel.load(bytes);
    const moved = new Driver(target.offer.function, target.memory, driver);
    target.kernel.resume();
    moved.enable();
    expect(moved.common.read(statusAt, 1)).toBe(11);
    moved.common.write(statusAt, 1, 15);
    moved.kick(0);
    expect(moved.take(0)).toEqual([[2]]);
  });

  it("end with a reset of the device, or of the function", () => {
    const { driver, pci, offer, model } = started();
    driver.add(0, [1]);
    driver.kick(0);
    driver.common.write(statusAt, 1, 0);
    driver.common.write(0x16, 2, 0);
    expect([0x10, 0x1a, 0x1c, 0x20].map((at) => driver.common.read(at, 2))).toEqual([0xffff, 0xffff, 0, 0]);
    expect([model.served, offer.device.features]).toEqual([0, 0n]);
    expect(pci.configRead(4, 2)).toBe(6);
    expect(driver.start(wanted)).toBe(15);
    driver.add(0, [9]);
    driver.kick(0);
    expect(driver.take(0)).toEqual([[10]]);
    offer.reset();
    expect([pci.configRead(4, 2), pci.configRead(0x9a, 2), offer.device.status]).toEqual([0, 2, 0]);
  });
});

describe("MSI-X", () => {
  const one = ({ driver }: ReturnType<typeof started>) => {
    driver.add(0, [1]);
    driver.kick(0);
  };
  const entry = 16 + 12;
  const pending = ({ driver }: ReturnType<typeof started>) => driver.bar(1).read(0x800, 1);

  it("waits while its vector is masked, and goes out when it is not", () => {
    const all = started();
    all.driver.bar(1).write(entry, 4, 1);
    one(all);
    expect([all.messages, pending(all)]).toEqual([[], 2]);
    all.driver.bar(1).write(entry, 4, 0);
    expect([all.messages, pending(all)]).toEqual([["fee00000: 101"], 0]);
  });

  it("waits under the function mask", () => {
    const all = started();
    all.pci.configWrite(0x9a, 2, 0xc000);
    one(all);
    expect([all.messages, pending(all)]).toEqual([[], 2]);
    all.pci.configWrite(0x9a, 2, 0x8000);
    expect([all.messages, pending(all)]).toEqual([["fee00000: 101"], 0]);
  });

  it("has addresses of 64 bits, and a table that reads back", () => {
    const all = started();
    all.driver.bar(1).write(16 + 4, 4, 0x12);
    expect([all.driver.bar(1).read(16, 4), all.driver.bar(1).read(20, 4), all.driver.bar(1).read(24, 2)]).toEqual([
      0xfee0_0000, 0x12, 101,
    ]);
    one(all);
    expect(all.messages).toEqual(["12fee00000: 101"]);
  });

  it("does not leave a function that is no bus master", () => {
    const all = started();
    all.driver.enable(2);
    all.model.device.configChanged();
    expect(all.messages).toEqual([]);
  });

  it("has room for as many vectors as are asked for", () => {
    const { bars } = pciMachine({ msixVectors: 200 }).offer.function;
    expect([bars[0]?.size, bars[0]?.read(16 * 199 + 12, 4), bars[0]?.read(3200, 4)]).toEqual([4096, 1, 0]);
    expect(pciMachine({ msixVectors: 2048 }).offer.function.bars[0]?.size).toBe(65536);
  });
});

describe("a function that is taken off the bus", () => {
  /** As QEMU 7.2 shows it: each write of the command register decides, and a reset of the device forgets. */
  it("is disabled until it is a bus master again, or its device is reset", async () => {
    const machine = pciMachine();
    const { function: pci } = machine.offer;
    const modern = pci.bars.find(({ index }) => index === 4);
    const isDisabled = async () =>
      String.fromCharCode(...sectionIn(await machine.save(), "0000:00:02.0/virtio-echo")).includes("virtio/disabled");
    expect(await isDisabled()).toBe(false);
    pci.configWrite(4, 2, 2);
    expect(await isDisabled()).toBe(true);
    pci.configWrite(4, 2, 6);
    expect(await isDisabled()).toBe(false);
    pci.configWrite(4, 2, 2);
    modern?.write(statusAt, 1, 0);
    expect([await isDisabled(), pci.configRead(4, 2)]).toEqual([false, 2]);
  });
});

describe("options that cannot be", () => {
  const nothing = {
    after: [],
    read: () => new Uint8Array(0),
    write() {},
    staged: () => ({ read: () => new Uint8Array(0) }),
  };
  const made = (more: object) => () =>
    virtioPci({ slot: "00:02.0", model: echo(), dma: nothing, signalMsi() {}, ...more });

  it("are refused by name", () => {
    expect(made({ slot: "2.0" })).toThrow(/DEFINITION_INVALID: virtio-pci's slot cannot be; .*found 2\.0/);
    expect(made({ msixVectors: 2049 })).toThrow(/msixVectors cannot be; expected 0 to 2048; found 2049/);
    expect(made({})()).toMatchObject({ name: "@godwit/virtio-pci", contract: 2 });
  });
});
