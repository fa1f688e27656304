// A machine with a virtio PCI function, saved in the middle of its work and loaded into another one.
import { decodeState, encodeState, isMigrationError } from "@godwit/core";
import { feature } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { type VirtioPciParameters, virtioPciFamily } from "../src/index.ts";
import { Driver } from "./support/driver.ts";
import { echo } from "./support/echo.ts";
import { type Options, type PciMachine, pciMachine } from "./support/machine.ts";
import { sectionIn } from "./support/sections.ts";

const wanted = feature.VERSION_1 | feature.ACCESS_PLATFORM | 0b101n;

function started(options: Options = {}) {
  const machine = pciMachine(options);
  const driver = new Driver(machine.offer.function, machine.memory);
  driver.enable();
  driver.enableMsix();
  driver.start(wanted);
  return { ...machine, driver };
}

/** Everything that a driver can read. */
function registers({ offer: { function: pci } }: PciMachine): number[] {
  const words: number[] = [];
  for (let at = 0; at < 256; at += 4) words.push(pci.configRead(at, 4));
  for (const bar of pci.bars) for (let at = 0; at < 0x900; at += 4) words.push(bar.read(at, 4));
  return words;
}

describe("a migration", () => {
  it("in the middle of the work loses nothing and repeats nothing", async () => {
    const source = started();
    const { driver, model } = source;
    for (let i = 0; i < 5; i++) {
      driver.add(0, [i]);
      driver.kick(0);
    }
    expect(driver.take(0)).toHaveLength(5);
    model.waiting = true;
    driver.add(0, [50]);
    driver.add(0, [60]);
    driver.kick(0);
    const bytes = await source.save();

    const target = pciMachine();
    const report = await target.kernel.load(bytes);
    expect(report.notes).toEqual([]);
    expect(registers(target)).toEqual(registers(source));
    expect(target.model.served).toBe(5);
    const moved = new Driver(target.offer.function, target.memory, driver);
    expect(moved.take(0)).toEqual([]);
    // The driver need not kick again for what it had asked before.
    target.kernel.resume();
    expect(moved.take(0)).toEqual([[51], [61]]);
    expect(target.messages).toEqual(["fee00000: 101"]);
    moved.add(1, [70]);
    moved.kick(1);
    expect(moved.take(1)).toEqual([[71]]);
    expect([target.model.served, model.served]).toEqual([8, 5]);
  });

  it("takes masked messages along", async () => {
    const source = started();
    source.driver.bar(1).write(16 + 12, 4, 1);
    source.driver.add(0, [1]);
    source.driver.kick(0);
    const target = pciMachine();
    await target.kernel.load(await source.save());
    target.kernel.resume();
    expect(target.messages).toEqual([]);
    target.offer.function.bars[0]?.write(16 + 12, 4, 0);
    expect(target.messages).toEqual(["fee00000: 101"]);
  });

  it("of a function that never had a driver is as after power-on", async () => {
    const target = started();
    await target.kernel.load(await pciMachine().save());
    expect(registers(target)).toEqual(registers(pciMachine()));
    expect(target.offer.device.queues.map(({ ready }) => ready)).toEqual([false, false]);
  });
});

describe("a section of ours", () => {
  const family = virtioPciFamily({
    name: "virtio-echo",
    version: 1,
    minimumVersion: 1,
    deviceId: 30,
    description: () => echo().description,
    infer: () => ({}),
  });

  it.each([0, 1, 3, 17, 200])(
    "with %i vectors is read by parameters that are inferred, and written again",
    async (msixVectors) => {
      const machine = pciMachine({ msixVectors });
      const driver = new Driver(machine.offer.function, machine.memory);
      driver.enable();
      driver.start(wanted);
      const bytes = sectionIn(await machine.save(), "0000:00:02.0/virtio-echo");
      const parameters: VirtioPciParameters = family.infer({
        idstr: "0000:00:02.0/virtio-echo",
        instance: 0,
        version: 1,
        bytes,
      });
      expect(parameters).toMatchObject({ configBytes: 256, msixVectors, modern: true });
      const state = decodeState(family.build(parameters), bytes);
      expect(encodeState(family.build(parameters), state)).toEqual(bytes);
      expect(state).toMatchObject({ status: 15, queue_count: 2, device: { served: 0 } });
    },
  );
});

/** One section changed, everything else as it was. */
async function refused(change: (body: Uint8Array, view: DataView) => void, memory?: (machine: PciMachine) => void) {
  const source = started();
  source.driver.add(0, [1]);
  source.driver.kick(0);
  memory?.(source);
  const bytes = await source.save();
  const body = sectionIn(bytes, "0000:00:02.0/virtio-echo");
  change(body, new DataView(body.buffer, body.byteOffset, body.length));
  const target = pciMachine();
  const before = registers(target);
  try {
    const report = await target.kernel.load(bytes);
    return { notes: report.notes, target };
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    expect(registers(target)).toEqual(before);
    expect(target.memory().every((byte) => byte === 0)).toBe(true);
    return { code: error.code, ...error.location, text: error.detail, expected: error.expected, found: error.found };
  }
}

const afterPci = 4 + 256 + 16;
const afterTransport = afterPci + 3 * 16 + 1 + 2;
const queueAt = (index: number) => afterTransport + 12 + 8 + 4 + 16 * index;

describe("a load is refused, with its place, and nothing has changed", () => {
  it("where read-only bytes of configuration space differ", async () => {
    const at = (offset: number, xor: number) =>
      refused((body) => {
        body[4 + offset] = (body[4 + offset] as number) ^ xor;
      });
    expect(await at(0x02, 1)).toMatchObject({
      code: "DEVICE_CHECK",
      section: "0000:00:02.0/virtio-echo/0",
      path: "transport.pci_dev.config[2]",
      expected: "0x5e",
      found: "0x5f",
      text: "PCI device id register: Bad config data: i=0x2 read: 5f device: 5e cmask: ff wmask: 0 w1cmask:0",
    });
    expect(await at(0x14, 4)).toMatchObject({ path: "transport.pci_dev.config[20]" });
    expect(await at(0x48, 1)).toMatchObject({ path: "transport.pci_dev.config[72]" });
    expect(await at(0x9a, 1)).toMatchObject({ path: "transport.pci_dev.config[154]" });
    // Those are the guest's.
    expect(await at(0x3c, 5)).toMatchObject({ notes: [] });
    expect(await at(0x15, 0xf0)).toMatchObject({ notes: [] });
  });

  it("where a pin is at a level that there is not", async () => {
    expect(await refused((body) => body.fill(7, 4 + 256, 4 + 257))).toMatchObject({
      code: "FIELD_CHECK",
      path: "transport.pci_dev.irq_state",
      expected: "0 or 1 each",
    });
  });

  it("where a vector is none of the table's", async () => {
    expect(await refused((_, view) => view.setUint16(afterTransport - 2, 3))).toMatchObject({
      code: "DEVICE_CHECK",
      path: "transport.config_vector",
      expected: "below 3, or 0xffff",
      found: "3",
    });
    expect(await refused((_, view) => view.setUint16(queueAt(1) + 14, 0xfffe))).toMatchObject({
      code: "DEVICE_CHECK",
      path: "vqs[1].transport.vector",
    });
  });

  it("where a feature is not offered here", async () => {
    const host = wanted | feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX;
    const source = started();
    const target = pciMachine({ ringFeatures: 0n, accessPlatform: false });
    const error = await target.kernel.load(await source.save()).catch((one: unknown) => one);
    if (!isMigrationError(error)) throw error;
    expect(error.detail).toBe(`Features 0x${wanted.toString(16)} unsupported. Allowed features: 0x100000005`);
    expect([error.code, error.location.path]).toEqual(["DEVICE_CHECK", "guest_features"]);
    expect(host).not.toBe(wanted);
  });

  it("where a ring is not in memory", async () => {
    const error = await refused((body) => {
      const used = find(body, [0, 0, 0, 0, 0, 0, 0x28, 0x00]);
      body[used + 3] = 1;
    });
    expect(error).toMatchObject({ code: "MEMORY_UNMAPPED", path: "vqs[1].used" });
  });

  it("where the used index cannot be", async () => {
    const error = await refused(
      () => {},
      ({ memory }) => memory().set([9, 0], 0x1802),
    );
    expect(error).toMatchObject({ code: "VIRTQUEUE_INDEX", path: "vqs[0].last_avail_idx", found: "65528" });
  });

  it("but not where the available index cannot be: then the device is broken, as in QEMU", async () => {
    const answer = await refused(
      () => {},
      ({ memory }) => memory().set([99, 0], 0x1082),
    );
    if (!("target" in answer)) throw new Error(`it was refused: ${answer.text}`);
    const { notes, target } = answer;
    expect(notes).toMatchObject([
      { section: "0000:00:02.0/virtio-echo/0", text: expect.stringContaining("VQ 0 size 0x8 Guest index 0x63") },
    ]);
    expect([target.offer.device.broken, target.offer.device.status]).toEqual([true, 15 | 64]);
    expect(target.messages).toEqual([]);
    target.kernel.resume();
    expect(target.messages).toEqual(["fee00000: 100"]);
  });
});

function find(bytes: Uint8Array, wantedBytes: number[]): number {
  for (let at = 0; at < bytes.length; at++) if (wantedBytes.every((byte, i) => bytes[at + i] === byte)) return at;
  throw new Error("not found");
}
