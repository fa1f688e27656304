// A PCI Express function, and resets of one queue. What is expected is what QEMU 7.2 shows of the same functions.
import { isMigrationError } from "@godwit/core";
import { feature } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { virtioPciFamily } from "../src/index.ts";
import { Driver, statusAt } from "./support/driver.ts";
import { echo } from "./support/echo.ts";
import { type Options, pciMachine } from "./support/machine.ts";
import { sectionIn } from "./support/sections.ts";

const words = (pci: { configRead(offset: number, size: number): number }, from: number, to: number) =>
  Array.from({ length: (to - from) / 4 }, (_, i) =>
    pci
      .configRead(from + 4 * i, 4)
      .toString(16)
      .padStart(8, "0"),
  );
const express = (options: Options = {}) => pciMachine({ express: { ats: true }, msixVectors: 4, ...options });

describe("an express function", () => {
  it("has QEMU's capabilities: express, power management, virtio's, MSI-X, and ATS behind them", () => {
    const { function: pci } = express().offer;
    expect(pci.configRead(0x34, 1)).toBe(0xdc);
    expect(words(pci, 0x40, 0xe8)).toEqual([
      ..."00020010 10008000 00000000 00000411 00110000 00000000 00000000 00000000".split(" "),
      ..."00000000 00300000 00000000 00000000 00000000 00000000 00000000 00034001".split(" "),
      ..."00000000 01107c09 00000004 00000000 00001000 03108409 00000004 00001000".split(" "),
      ..."00001000 04109409 00000004 00002000 00001000 0214a409 00000004 00003000".split(" "),
      ..."00001000 00000004 0514b409 00000000 00000000 00000000 00000000 0003c811".split(" "),
      ..."00000001 00000801".split(" "),
    ]);
    expect(words(pci, 0x100, 0x10c)).toEqual(["0001000f", "00000020", "00000000"]);
    expect(words(pciMachine({ express: true }).offer.function, 0x100, 0x108)).toEqual(["00000000", "00000000"]);
    expect(pci.configRead(0xffe, 4)).toBe(0xffff_0000);
  });

  it("lets the guest write what QEMU lets it", () => {
    const { function: pci } = express().offer;
    const writable = (at: number, size: number): number => {
      pci.configWrite(at, size, 0);
      const zeros = pci.configRead(at, size);
      pci.configWrite(at, size, 2 ** (8 * size) - 1);
      return pci.configRead(at, size) ^ zeros;
    };
    // Without bit 15 of device control, which resets the function.
    expect([0x44, 0x48, 0x50, 0x68, 0x80].map((at) => writable(at, at === 0x48 ? 1 : 4))).toEqual([
      0, 0x0f, 0xc0, 0x8000, 3,
    ]);
    expect([0x100, 0x104, 0x106, 0x108].map((at) => writable(at, 2))).toEqual([0, 0, 0x800f, 0xffff]);
    expect([0xe4, 0xe8, 0x3f].map((at) => writable(at, 1))).toEqual([0, 0xff, 0]);
    expect(pciMachine({ express: true }).offer.function.configRead(0x100, 4)).toBe(0);
  });

  it("is reset by its guest, BARs and all", () => {
    const { offer, memory } = express();
    const driver = new Driver(offer.function, memory);
    driver.enable();
    expect(driver.start(feature.VERSION_1 | feature.ACCESS_PLATFORM)).toBe(15);
    offer.function.configWrite(0x20, 4, 0xfebe_4000);
    offer.function.configWrite(0x48, 2, 0x800f);
    expect([0x04, 0x20, 0x48].map((at) => offer.function.configRead(at, 2))).toEqual([0, 0x0c, 0]);
    expect(driver.common.read(statusAt, 1)).toBe(0);
  });

  it("migrates under the path of the bridge before it", async () => {
    const path = "0000:00:04.0:00.0";
    const source = express({ slot: "01:00.0", path });
    source.offer.function.configWrite(0x48, 1, 5);
    source.offer.function.configWrite(0x106, 2, 0x8001);
    source.offer.function.configWrite(0x800, 1, 0x77);
    const bytes = await source.save();
    const target = express({ slot: "01:00.0", path });
    await target.kernel.load(bytes);
    expect([0x48, 0x106, 0x800].map((at) => target.offer.function.configRead(at, 2))).toEqual([5, 0x8001, 0x77]);
    const family = virtioPciFamily({
      name: "virtio-echo",
      version: 1,
      minimumVersion: 1,
      deviceId: 30,
      description: () => echo().description,
      infer: () => ({}),
    });
    const sample = {
      idstr: `${path}/virtio-echo`,
      instance: 0,
      version: 1,
      bytes: sectionIn(bytes, `${path}/virtio-echo`),
    };
    expect(family.infer(sample)).toMatchObject({ configBytes: 4096, msixVectors: 4 });
  });

  it("does not arrive where link capabilities differ; link status does not count", async () => {
    const refusal = async (offset: number) => {
      const bytes = await express().save();
      const body = sectionIn(bytes, "0000:00:02.0/virtio-echo");
      body[4 + offset] = (body[4 + offset] as number) ^ 1;
      const error = await express()
        .kernel.load(bytes)
        .catch((one: unknown) => one);
      return isMigrationError(error) ? [error.location.path, error.detail.split(":")[0]] : undefined;
    };
    expect(await refusal(0x4c)).toEqual(["transport.pci_dev.config[76]", "PCI Express capability, byte 12"]);
    expect(await refusal(0x52)).toBeUndefined();
    expect(await refusal(0x4a)).toBeUndefined();
    expect(await refusal(0x104)).toEqual(["transport.pci_dev.config[260]", "extended capability, byte 4"]);
    expect(await refusal(0xc8)).toEqual([
      "transport.pci_dev.config[200]",
      "virtio configuration access capability, byte 0",
    ]);
    // QEMU does not compare the subsystem.
    expect(await refusal(0x2e)).toBeUndefined();
  });
});

describe("a queue that its driver resets", () => {
  it("is as new, but for what the address registers say; the other works on", () => {
    const reset: unknown[] = [];
    // The model is told once, and while the queue is still what it was.
    const model = Object.assign(echo(), {
      resetQueue: (index: number) => void reset.push([index, machine.offer.device.queues[index]?.ready]),
    });
    const machine = pciMachine({}, model);
    const driver = new Driver(machine.offer.function, machine.memory);
    driver.enable();
    driver.enableMsix();
    const wanted = feature.VERSION_1 | feature.ACCESS_PLATFORM | feature.RING_RESET;
    expect(driver.start(wanted)).toBe(15);
    driver.add(1, [5]);
    driver.kick(1);
    const { common } = driver;
    const registers = () => [0x18, 0x1a, 0x1c, 0x20, 0x28, 0x38, 0x3a].map((at) => common.read(at, 2));
    common.write(0x16, 2, 1);
    expect(registers()).toEqual([4, 2, 1, 0x2000, 0x2040, 0, 0]);
    common.write(0x3a, 2, 0);
    expect([registers()[2], reset]).toEqual([1, []]);
    common.write(0x18, 2, 2);
    common.write(0x3a, 2, 1);
    expect([registers(), reset]).toEqual([[4, 0xffff, 0, 0x2000, 0x2040, 0, 0], [[1, true]]]);
    expect(machine.offer.device.queues.map(({ ready }) => ready)).toEqual([true, false]);
    // A driver that enables it again need not write the size once more, as in QEMU.
    common.write(0x1c, 2, 1);
    expect(registers()).toEqual([2, 0xffff, 1, 0x2000, 0x2040, 0, 0]);
    driver.add(0, [7]);
    driver.kick(0);
    expect(driver.take(0)).toEqual([[8]]);
  });

  it("cannot be reset where that is not offered", () => {
    const machine = pciMachine({ ringFeatures: 0n });
    const driver = new Driver(machine.offer.function, machine.memory);
    driver.enable();
    driver.start(feature.VERSION_1 | feature.ACCESS_PLATFORM);
    driver.common.write(0x16, 2, 0);
    driver.common.write(0x3a, 2, 1);
    expect(driver.common.read(0x1c, 2)).toBe(1);
  });
});
