// Functions with legacy registers: their configuration space, their ports, and how they migrate. What is expected is
// what QEMU 7.2 shows of the same functions.
import { isMigrationError } from "@godwit/core";
import { feature } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import type { VirtioPciOptions } from "../src/index.ts";
import { echo } from "./support/echo.ts";
import { pciMachine } from "./support/machine.ts";

type Chosen = Partial<Omit<VirtioPciOptions<never, never>, "model" | "dma" | "signalMsi" | "setIntx">>;
const netId = 1;

/** A function of the class that network cards have, whose device adds 1 to each byte. */
function made(options: Chosen = {}, sizes: readonly number[] = [256, 256, 64]) {
  const machine = pciMachine({ accessPlatform: false, mode: "legacy", ...options }, echo(sizes, netId));
  const pci = machine.offer.function;
  const bar = (index: number) => pci.bars.find((one) => one.index === index) as (typeof pci.bars)[number];
  return { ...machine, pci, bar, ports: bar(0) };
}

const header = (pci: ReturnType<typeof made>["pci"], bytes = 0x40) =>
  Array.from({ length: bytes / 4 }, (_, i) =>
    pci
      .configRead(4 * i, 4)
      .toString(16)
      .padStart(8, "0"),
  );

describe("configuration space", () => {
  it("is a legacy function's: I/O BAR 0, MSI-X at 0x40, nothing modern", () => {
    const { pci } = made({ msixVectors: 4 });
    expect(header(pci, 0x50)).toEqual([
      ..."10001af4 00100000 02000000 00000000 00000001 00000000 00000000 00000000".split(" "),
      ..."00000000 00000000 00000000 00011af4 00000000 00000040 00000000 00000100".split(" "),
      ..."00030011 00000001 00000801 00000000".split(" "),
    ]);
    expect(pci.bars.map(({ index, size }) => [index, size])).toEqual([
      [0, 32],
      [1, 4096],
    ]);
  });

  it("is a transitional function's: both kinds of registers, and the legacy ids", () => {
    const { pci } = made({ mode: "transitional", msixVectors: 4 });
    expect(header(pci, 0xa4)).toEqual([
      ..."10001af4 00100000 02000000 00000000 00000001 00000000 00000000 00000000".split(" "),
      ..."0000000c 00000000 00000000 00011af4 00000000 00000098 00000000 00000100".split(" "),
      ..."01100009 00000004 00000000 00001000 03104009 00000004 00001000 00001000".split(" "),
      ..."04105009 00000004 00002000 00001000 02146009 00000004 00003000 00001000".split(" "),
      ..."00000004 05147009 00000000 00000000 00000000 00000000 00038411 00000001".split(" "),
      "00000801",
    ]);
    expect(pci.bars.map(({ index }) => index)).toEqual([0, 1, 4]);
  });

  it("has no capabilities without MSI-X, and 20 bytes of registers before the device's own", () => {
    const { pci } = made({ msixVectors: 0 });
    expect([pci.configRead(6, 2), pci.configRead(0x34, 1), pci.bars.map(({ size }) => size)]).toEqual([0, 0, [32]]);
    // 24 + 8 are 32; one vector more in front of 13 bytes would need 64.
    const { bars } = pciMachine({ accessPlatform: false, mode: "legacy", msixVectors: 1 }, longer(13)).offer.function;
    const { bars: fewer } = pciMachine({ accessPlatform: false, mode: "legacy", msixVectors: 0 }, longer(12)).offer
      .function;
    expect([bars[0]?.size, fewer[0]?.size]).toEqual([64, 32]);
  });

  it("decodes ports apart from memory", () => {
    const { pci, ports } = made({ msixVectors: 4 });
    pci.configWrite(0x10, 4, 0xffff_ffff);
    expect(pci.configRead(0x10, 4)).toBe(0xffff_ffe1);
    pci.configWrite(0x10, 4, 0xc100);
    pci.configWrite(4, 2, 2);
    expect(ports.address()).toBeUndefined();
    pci.configWrite(4, 2, 1);
    expect(ports.address()).toBe(0xc100);
    pci.configWrite(0x10, 4, 0x1_c100);
    expect(ports.address()).toBeUndefined();
  });
});

function longer(bytes: number) {
  const model = echo([8], netId);
  const config = new Uint8Array(bytes);
  return Object.assign(model, { configBytes: () => config });
}

describe("the ports", () => {
  it("negotiate in 32 bits, without FEATURES_OK", () => {
    const { ports, offer } = made();
    expect(ports.read(0, 4)).toBe(0x3800_0005);
    ports.write(4, 4, 0x3800_0007);
    expect([ports.read(4, 4), offer.device.features]).toEqual([0x3800_0005, 0x3800_0005n]);
    ports.write(0x12, 1, 7);
    expect([ports.read(0x12, 1), offer.device.running]).toEqual([7, true]);
  });

  it("offer ANY_LAYOUT here, and not in the modern registers of the same function", () => {
    const { ports, bar, offer } = made({ mode: "transitional" });
    expect(ports.read(0, 4)).toBe(0x3800_0005);
    bar(4).write(0, 4, 0);
    expect(bar(4).read(4, 4)).toBe(0x3000_0005);
    bar(4).write(0, 4, 1);
    expect(bar(4).read(4, 4)).toBe(0x101);
    // Nor can they be accepted there.
    bar(4).write(0x0c, 4, 0x3800_0005);
    expect(offer.device.features).toBe(0x3000_0005n);
    expect(made({ legacyFeatures: 0n }).ports.read(0, 4)).toBe(0x3000_0005);
  });

  it("place a ring by its page, and reset the device by page 0", () => {
    const { ports, pci } = made();
    ports.write(0x12, 1, 3);
    ports.write(0x0e, 2, 1);
    ports.write(0x08, 4, 0x5);
    expect([ports.read(8, 4), ports.read(0x0c, 2), ports.read(0x0e, 2)]).toEqual([5, 256, 1]);
    ports.write(0x0e, 2, 7);
    expect([ports.read(8, 4), ports.read(0x0c, 2)]).toEqual([0, 0]);
    ports.write(0x0e, 2, 2000);
    expect(ports.read(0x0e, 2)).toBe(7);
    // Nobody asked to be bus master: a driver that is there is enough.
    expect(pci.configRead(4, 2)).toBe(4);
    ports.write(0x08, 4, 0);
    expect([ports.read(0x12, 1), ports.read(0x0e, 2), ports.read(0x14, 2)]).toEqual([0, 0, 0x2211]);
    expect(pci.configRead(4, 2)).toBe(4);
  });

  it("read as ones where there is no register, and by width", () => {
    const { ports } = made();
    expect([ports.read(1, 1), ports.read(2, 2), ports.read(0x10, 4), ports.read(0, 2), ports.read(0, 1)]).toEqual([
      0xff, 0xffff, 0xffff_ffff, 5, 5,
    ]);
  });

  it("have vectors before the device's configuration while MSI-X is enabled", () => {
    const { ports, pci, model } = made({ msixVectors: 4 });
    expect([ports.read(0x14, 4), ports.read(0x1c, 1)]).toEqual([0x4433_2211, 0xff]);
    pci.configWrite(0x42, 2, 0x8000);
    expect([ports.read(0x14, 2), ports.read(0x16, 2), ports.read(0x18, 4)]).toEqual([0xffff, 0xffff, 0x4433_2211]);
    ports.write(0x14, 2, 0);
    ports.write(0x16, 2, 4);
    expect([ports.read(0x14, 2), ports.read(0x16, 2)]).toEqual([0, 0xffff]);
    ports.write(0x16, 2, 3);
    expect(ports.read(0x16, 2)).toBe(3);
    ports.write(0x19, 1, 0xaa);
    expect(model.config[1]).toBe(0xaa);
  });
});

describe("a migration", () => {
  it.each(["legacy", "transitional"] as const)("takes the registers of a %s function along", async (mode) => {
    const here = made({ mode });
    here.pci.configWrite(4, 2, 1);
    here.ports.write(0x12, 1, 3);
    here.ports.write(4, 4, 0x3800_0001);
    here.ports.write(0x0e, 2, 1);
    here.ports.write(8, 4, 3);
    here.ports.write(0x12, 1, 7);
    const there = made({ mode });
    await there.kernel.load(await here.save());
    const all = ({ ports, pci }: typeof here) =>
      [0, 4, 8, 0xc, 0xe, 0x12].map((at) => ports.read(at, 2)).concat(pci.configRead(4, 2));
    expect(all(there)).toEqual(all(here));
    expect(all(there)).toEqual([5, 1, 3, 256, 1, 7, 5]);
  });

  it("does not arrive at a function of another kind", async () => {
    const error = await made({ mode: "transitional" })
      .kernel.load(await made().save())
      .catch((one: unknown) => one);
    if (!isMigrationError(error)) throw error;
    expect([error.code, error.location.path]).toEqual(["DEVICE_CHECK", "transport.pci_dev.config[32]"]);
    expect(error.detail).toMatch(/^PCI BAR 4 register: Bad config data: i=0x20 read: 0 device: c cmask: ff/);
  });
});

describe("options that cannot be", () => {
  it("are refused by name", () => {
    expect(() => pciMachine({ mode: "legacy" })).toThrow(/mode cannot be; expected modern, as virtio device 30/);
    expect(() => made({ accessPlatform: true })).toThrow(
      /accessPlatform cannot be; expected false of a legacy function/,
    );
    expect(made({ ringFeatures: feature.RING_EVENT_IDX }).ports.read(0, 4)).toBe(0x2800_0005);
  });
});
