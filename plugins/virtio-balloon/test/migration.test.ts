// The device moves: with a buffer for statistics taken, with a target that is not reached, in the middle of hints.
import { isMigrationError } from "@godwit/core";
import { machine, move } from "@godwit/virtio-testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { virtioBalloon } from "../src/model.ts";
import type { MemoryStatistics } from "../src/statistics.ts";
import { BalloonDriver, ledger } from "./support/balloon-driver.ts";

const le32 = (value: number): Uint8Array => Uint8Array.of(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, 0);

describe("a move", () => {
  it("keeps the target, what the guest has given, and what its pages are filled with", () => {
    const { log, discard } = ledger();
    const make = () => virtioBalloon({ discard, reporting: true });
    const from = make();
    const driver = new BalloonDriver(machine(from));
    from.setTarget(100);
    driver.machine.device.writeConfig(4, le32(60));
    driver.machine.device.writeConfig(12, le32(0x55));
    const to = make();
    const there = machine(to);
    move(driver, there);
    expect([to.target, to.actual, there.interrupts]).toEqual([100, 60, []]);
    expect(to.save()).toEqual(from.save());
    expect(to.save()).toEqual({
      num_pages: 100,
      actual: 60,
      free_page_report: { free_page_hint_cmd_id: 0x80000000, free_page_hint_status: 0 },
      page_poison: { poison_val: 0x55 },
    });
    driver.free(3, [0x1000, 0x1000]);
    driver.pages(0, 1);
    expect(log).toEqual(["discard 0x1000+0x1000"]);
  });

  it("takes the buffer for statistics up again, as QEMU does: it is in its ring, and not in the section", async () => {
    const told: MemoryStatistics[] = [];
    const make = () => virtioBalloon({ ...ledger(), onStatistics: (one) => told.push(one) });
    const driver = new BalloonDriver(machine(make()));
    driver.statistics([4, 1000n]);
    await driver.machine.quiesce();
    const { inuse, index } = driver.machine.device.queues[2] as { inuse: number; index: number };
    expect([inuse, index]).toEqual([1, 2]);
    const to = make();
    const there = machine(to);
    move(driver, there);
    expect([told.length, driver.ring(2).reap(), there.device.queues[2]]).toMatchObject([2, [], { inuse: 1 }]);
    expect(to.requestStatistics()).toBe(true);
    expect(driver.ring(2).reap()).toHaveLength(1);
    driver.statistics([4, 900n]);
    expect(told.at(-1)).toEqual({ freeMemory: 900n });
  });

  it("that fails goes on here with the same buffer", async () => {
    const told: MemoryStatistics[] = [];
    const balloon = virtioBalloon({ ...ledger(), onStatistics: (one) => told.push(one) });
    const driver = new BalloonDriver(machine(balloon));
    driver.statistics([4, 1n]);
    await driver.machine.quiesce();
    expect(balloon.requestStatistics()).toBe(false);
    driver.machine.resume();
    expect([told.length, balloon.requestStatistics(), driver.ring(2).reap().length]).toEqual([1, true, 1]);
  });

  it("touches no memory between its last round and its end", async () => {
    const { log, ...memory } = ledger();
    const driver = new BalloonDriver(machine(virtioBalloon({ ...memory, reporting: true })));
    await driver.machine.quiesce();
    driver.pages(0, 1);
    driver.free(4, [0x1000, 0x1000]);
    expect(log).toEqual([]);
    driver.machine.resume();
    expect(log).toEqual(["discard 0x1000+0x1000", "discard 0x1000+0x1000"]);
  });

  it("carries a run of hints, whose id it goes on counting from", () => {
    const { log, ...memory } = ledger();
    const from = virtioBalloon(memory);
    const driver = new BalloonDriver(machine(from));
    from.startHints();
    driver.command(3, 0x80000001);
    const to = virtioBalloon(memory);
    move(driver, machine(to));
    expect(to.hinting).toBe("start");
    driver.free(3, [0x1000, 0x1000]);
    expect(log).toEqual(["hint 0x1000+0x1000"]);
    to.stopHints(true);
    move(driver, machine(virtioBalloon(memory)));
    expect(to.save().free_page_report).toEqual({ free_page_hint_cmd_id: 0x80000001, free_page_hint_status: 3 });
  });

  it("sends what the driver accepted: subsections come and go with it", () => {
    const make = () => virtioBalloon(ledger());
    const VERSION_1 = 1n << 32n;
    const text = (features: bigint): string =>
      String.fromCharCode(...new BalloonDriver(machine(make()), features).machine.save());
    const all = text(VERSION_1 | 0b11010n);
    expect(all).toContain("virtio-balloon-device/free-page-report");
    expect(all.indexOf("free-page-report")).toBeLessThan(all.indexOf("virtio-balloon-device/page-poison"));
    expect(all.indexOf("page-poison")).toBeLessThan(all.indexOf("virtio/64bit_features"));
    expect(text(VERSION_1 | 0b00010n)).not.toContain("virtio-balloon-device");
    expect(text(VERSION_1 | 0b01010n)).not.toContain("page-poison");
  });

  it("of a state that no balloon has is refused at its place", () => {
    const balloon = virtioBalloon(ledger());
    const state = (status: number) => ({
      ...balloon.save(),
      free_page_report: { free_page_hint_cmd_id: 0x80000000, free_page_hint_status: status },
    });
    expect(balloon.check?.(state(3), undefined as never)).toBeUndefined();
    try {
      balloon.check?.(state(4), undefined as never);
      expect.unreachable();
    } catch (error) {
      expect(isMigrationError(error) && [error.code, error.location.path, error.found]).toEqual([
        "DEVICE_CHECK",
        "device.free_page_report.free_page_hint_status",
        "4",
      ]);
    }
  });
});

describe("any run of work", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("inflate" as const), page: fc.nat(50) }),
    fc.record({ kind: fc.constant("deflate" as const), page: fc.nat(50) }),
    fc.record({ kind: fc.constant("poll" as const), page: fc.constant(0) }),
    fc.record({ kind: fc.constant("move" as const), page: fc.constant(0) }),
  );

  it("does each page's work once, in order, and always has the buffer for statistics", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { log, ...memory } = ledger();
        const told: (bigint | undefined)[] = [];
        const make = () => virtioBalloon({ ...memory, onStatistics: ({ freeMemory }) => told.push(freeMemory) });
        let balloon = make();
        const driver = new BalloonDriver(machine(balloon));
        const expected: string[] = [];
        let count = 0n;
        driver.statistics([4, count]);
        for (const { kind, page } of steps) {
          if (kind === "inflate") {
            driver.pages(0, page);
            expected.push(`discard 0x${(page * 4096).toString(16)}+0x1000`);
          } else if (kind === "deflate") {
            driver.pages(1, page);
            expected.push(`populate 0x${(page * 4096).toString(16)}+0x1000`);
          } else if (kind === "poll") {
            expect(balloon.requestStatistics()).toBe(true);
            expect(driver.ring(2).reap()).toHaveLength(1);
            driver.statistics([4, ++count]);
          } else {
            balloon = make();
            move(driver, machine(balloon));
          }
          expect(told.at(-1)).toBe(count);
          for (const queue of [0, 1]) driver.ring(queue).reap();
        }
        expect(log).toEqual(expected);
      }),
      { seed: 55, numRuns: 60 },
    );
  });
});
