// The device at work: pages given up and taken back, statistics, hints, reports.
import { machine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBalloon } from "../src/model.ts";
import type { MemoryStatistics } from "../src/statistics.ts";
import { BalloonDriver, ledger } from "./support/balloon-driver.ts";

const le32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};

describe("pages", () => {
  it("are given up and taken back as ranges, and the buffers are given back", () => {
    const { log, ...memory } = ledger();
    const driver = new BalloonDriver(machine(virtioBalloon(memory)));
    driver.pages(0, 9, 7, 8, 3, 8, 0xffffffff);
    driver.pages(1, 7, 5);
    expect(log).toEqual([
      "discard 0x3000+0x1000",
      "discard 0x7000+0x3000",
      "discard 0xffffffff000+0x1000",
      "populate 0x5000+0x1000",
      "populate 0x7000+0x1000",
    ]);
    expect([driver.ring(0).reap().length, driver.ring(1).reap().length, driver.machine.interrupts]).toEqual([
      1,
      1,
      [0, 1],
    ]);
  });

  it("of more than a gigabyte in one request break the device", () => {
    const { log, ...memory } = ledger();
    const driver = new BalloonDriver(machine(virtioBalloon(memory)));
    const at = driver.allocate(4096);
    driver.ring(0).add(
      Array.from({ length: 2 }, () => ({ at, length: 1 << 20 })),
      [],
    );
    driver.ring(0).kick();
    expect([log, driver.machine.device.failure, driver.ring(0).reap()]).toEqual([
      [],
      "virtio-balloon: 2097152 bytes of page numbers",
      [],
    ]);
  });

  it("are wanted by configuration space, and the driver says how many it gave", () => {
    const actuals: number[] = [];
    const balloon = virtioBalloon({ ...ledger(), onActual: (pages) => actuals.push(pages), reporting: true });
    const { device, interrupts } = new BalloonDriver(machine(balloon)).machine;
    balloon.setTarget(0x1234);
    balloon.setTarget(0x1234);
    expect([interrupts, balloon.target, device.configGeneration]).toEqual([[-1], 0x1234, 1]);
    device.writeConfig(4, le32(0x1200));
    device.writeConfig(4, le32(0x1200));
    // What is the host's, a driver cannot write.
    device.writeConfig(0, le32(1));
    device.writeConfig(8, le32(7));
    device.writeConfig(12, le32(0xaaaaaaaa));
    expect([actuals, balloon.actual]).toEqual([[0x1200], 0x1200]);
    expect(device.readConfig(0, 16)).toEqual(
      Uint8Array.of(0x34, 0x12, 0, 0, 0, 0x12, 0, 0, 0, 0, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa),
    );
    expect(() => balloon.setTarget(-1)).toThrow(RangeError);
    expect(() => balloon.setTarget(2 ** 32)).toThrow(RangeError);
  });

  it("leave as much of configuration space as the offered features need", () => {
    const length = (of: Parameters<typeof virtioBalloon>[0]): number => virtioBalloon(of).configBytes().length;
    const { discard, hint } = ledger();
    expect(length({ discard, pagePoison: false })).toBe(8);
    expect(length({ discard, pagePoison: false, hint })).toBe(12);
    expect(length({ discard })).toBe(16);
    expect(virtioBalloon({ discard }).queueSizes).toEqual([128, 128, 128]);
    expect(virtioBalloon({ discard, hint, reporting: true }).queueSizes).toEqual([128, 128, 128, 64, 32]);
    const features = virtioBalloon({ discard, hint, reporting: true, deflateOnOom: true }).features;
    expect(features).toBe(0b111110n);
    expect(virtioBalloon({ discard, pagePoison: false }).features).toBe(2n);
  });
});

describe("statistics", () => {
  it("come when the host asks: the driver's buffer is the device's until then", () => {
    const told: MemoryStatistics[] = [];
    const balloon = virtioBalloon({ ...ledger(), onStatistics: (one) => told.push(one) });
    const driver = new BalloonDriver(machine(balloon));
    expect(balloon.requestStatistics()).toBe(false);
    driver.statistics([4, 1000n], [5, 2n ** 40n], [77, 1n]);
    expect([told, driver.ring(2).reap()]).toEqual([[{ freeMemory: 1000n, totalMemory: 2n ** 40n }], []]);
    expect([balloon.requestStatistics(), balloon.requestStatistics()]).toEqual([true, false]);
    expect([driver.ring(2).reap().length, driver.machine.interrupts]).toEqual([1, [2]]);
    driver.statistics([0, 5n]);
    expect(told.at(-1)).toEqual({ swapIn: 5n });
    driver.machine.device.setStatus(0);
    expect(balloon.requestStatistics()).toBe(false);
  });
});

describe("free page hints", () => {
  it("count between a command's id and its end, and no others", () => {
    const { log, ...memory } = ledger();
    const balloon = virtioBalloon({ ...memory, reporting: true });
    const driver = new BalloonDriver(machine(balloon));
    const id = (): number => new DataView(driver.machine.device.readConfig(8, 4).buffer).getUint32(0, true);
    driver.free(3, [0x1000, 0x2000]);
    expect([balloon.hinting, id(), log]).toEqual(["stop", 0, []]);
    expect(balloon.startHints()).toBe(true);
    expect([balloon.hinting, id(), driver.machine.interrupts.at(-1)]).toEqual(["requested", 0x80000001, -1]);
    driver.command(3, 0x80000000);
    driver.free(3, [0x1000, 0x2000]);
    expect([balloon.hinting, log]).toEqual(["requested", []]);
    driver.command(3, 0x80000001);
    driver.free(3, [0x40000, 0x20000], [0x8000, 0x1000]);
    expect(log).toEqual(["hint 0x40000+0x20000", "hint 0x8000+0x1000"]);
    driver.command(3, 0);
    driver.free(3, [0x1000, 0x2000]);
    expect([balloon.hinting, log.length]).toEqual(["stop", 2]);
    balloon.startHints();
    expect(id()).toBe(0x80000002);
    balloon.stopHints(true);
    expect([balloon.hinting, id()]).toEqual(["done", 1]);
    balloon.stopHints(false);
    expect(id()).toBe(0);
    expect(driver.ring(3).reap()).toHaveLength(7);
  });

  it("are not asked of a driver that does not know them", () => {
    const balloon = virtioBalloon(ledger());
    expect(balloon.startHints()).toBe(false);
    const driver = new BalloonDriver(machine(balloon), 1n << 32n);
    expect([driver.machine.device.hostFeatures & 8n, balloon.startHints()]).toEqual([8n, false]);
  });
});

describe("free page reports", () => {
  it("are discarded, unless the guest's free pages are filled with something", () => {
    const { log, discard } = ledger();
    const balloon = virtioBalloon({ discard, reporting: true });
    const driver = new BalloonDriver(machine(balloon));
    driver.free(3, [0x200000, 0x100000]);
    expect(log).toEqual(["discard 0x200000+0x100000"]);
    driver.machine.device.writeConfig(12, le32(0xaa));
    driver.free(3, [0x400000, 0x100000]);
    expect([log.length, driver.ring(3).reap().length]).toEqual([1, 2]);
    // A driver that has not accepted PAGE_POISON means nothing by it.
    const other = new BalloonDriver(machine(virtioBalloon({ discard, reporting: true })), (1n << 32n) | 32n);
    other.machine.device.writeConfig(12, le32(0xaa));
    other.free(3, [0x400000, 0x100000]);
    expect(log).toHaveLength(2);
  });
});
