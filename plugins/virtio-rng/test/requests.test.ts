// The device at work: what a driver asks for, what it gets, and what it waits for.
import { isMigrationError, timerQueue, virtualClock } from "@godwit/core";
import { machine } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioRng } from "../src/model.ts";
import { counting, RngDriver, waiting } from "./support/rng-driver.ts";

describe("a request", () => {
  it("is filled, in all of its segments, and the driver is interrupted", () => {
    const backend = counting();
    const driver = new RngDriver(machine(virtioRng({ backend })));
    const request = driver.ask(4, 3);
    expect(backend.asked).toEqual([7]);
    expect(driver.ring(0).reap()).toEqual([{ head: request.head, length: 7 }]);
    // The driver's memory is given out in steps of 16 bytes.
    expect([...driver.bytes(request.at, 4), ...driver.bytes(request.at + 16, 3)]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(driver.machine.interrupts).toEqual([0]);
  });

  it("that gets less than it has room for is answered with what there is", () => {
    const driver = new RngDriver(machine(virtioRng({ backend: counting(5) })));
    const requests = [driver.ask(8), driver.ask(3)];
    expect(driver.take(requests)).toEqual([
      [1, 2, 3, 4, 5],
      [6, 7, 8],
    ]);
  });

  it("asks for 64 KiB at most", () => {
    const backend = counting();
    const driver = new RngDriver(machine(virtioRng({ backend })));
    driver.ask(70_000);
    expect([backend.asked, driver.ring(0).reap()[0]?.length]).toEqual([[65536], 65536]);
  });

  it("waits in its ring while the back end has nothing, and one question is open at a time", async () => {
    const backend = waiting();
    const driver = new RngDriver(machine(virtioRng({ backend })));
    const requests = [driver.ask(2), driver.ask(3)];
    expect([backend.asked, driver.machine.device.queues[0]]).toMatchObject([[2], { inuse: 0 }]);
    await backend.give(1, 2);
    expect(driver.take(requests)).toEqual([[1, 2]]);
    expect(backend.asked).toEqual([2, 3]);
    // More than the first has room for fills the next.
    const more = driver.ask(4);
    await backend.give(3, 4, 5, 6, 7);
    expect(driver.take([...requests, more])).toEqual([
      [3, 4, 5],
      [6, 7],
    ]);
    expect(driver.machine.interrupts).toEqual([0, 0]);
    expect(backend.asked).toEqual([2, 3]);
  });

  it("goes on waiting after a failure, and after an answer of no bytes, until it is asked for again", async () => {
    const errors: unknown[] = [];
    const backend = waiting();
    const rng = virtioRng({ backend, onError: (error) => errors.push(error) });
    const driver = new RngDriver(machine(rng));
    const request = driver.ask(2);
    await backend.fail("no device");
    expect([errors, backend.asked]).toEqual([["no device"], [2]]);
    rng.retry();
    await backend.give();
    expect([backend.asked, driver.ring(0).reap()]).toEqual([[2, 2], []]);
    driver.ring(0).kick();
    await backend.give(9, 8);
    expect(driver.take([request])).toEqual([[9, 8]]);
  });

  it("survives a back end that throws at once", () => {
    const errors: unknown[] = [];
    const backend = {
      read(): Uint8Array {
        throw new Error("closed");
      },
    };
    const driver = new RngDriver(machine(virtioRng({ backend, onError: (error) => errors.push(String(error)) })));
    driver.ask(2);
    expect([errors, driver.ring(0).reap(), driver.machine.device.broken]).toEqual([["Error: closed"], [], false]);
  });

  it("without room for a byte breaks the device, not the machine", () => {
    const driver = new RngDriver(machine(virtioRng({ backend: counting() })));
    driver.ring(0).add([{ at: driver.allocate(4), length: 4 }], []);
    driver.ring(0).kick();
    expect(driver.machine.device.failure).toContain("without room");
  });

  it("of a driver that was reset is not answered with late bytes; the next one may be", async () => {
    const backend = waiting();
    const { device, ...rest } = machine(virtioRng({ backend }));
    const before = new RngDriver({ device, ...rest });
    const request = before.ask(2);
    device.setStatus(0);
    await backend.give(1, 2);
    expect([...before.bytes(request.at, 2)]).toEqual([0, 0]);
    const after = new RngDriver({ device, ...rest });
    const again = after.ask(2);
    await backend.give(3, 4);
    expect(after.take([again])).toEqual([[3, 4]]);
  });
});

describe("a rate limit", () => {
  function limited(maxBytes: number, periodMs: number) {
    let now = 0n;
    const clock = virtualClock(() => now);
    const timers = timerQueue(clock);
    clock.start();
    const backend = counting();
    const rng = virtioRng({ backend, rate: { maxBytes, periodMs, timers } });
    return {
      rng,
      backend,
      timers,
      pass(ms: number) {
        now += BigInt(ms) * 1_000_000n;
        timers.runDue();
      },
    };
  }

  it("lets so many bytes out in a period of guest time", () => {
    const { rng, backend, timers, pass } = limited(5, 100);
    const driver = new RngDriver(machine(rng));
    const requests = [driver.ask(3)];
    // A period begins with its first byte, and the next ones do not put it off.
    pass(40);
    requests.push(driver.ask(3), driver.ask(3));
    expect(driver.take(requests)).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
    expect([backend.asked, timers.next()]).toEqual([[3, 2], 100_000_000n]);
    driver.ring(0).kick();
    pass(59);
    expect(driver.take(requests)).toEqual([]);
    pass(1);
    expect(driver.take(requests)).toEqual([[6, 7, 8]]);
    expect(timers.next()).toBe(200_000_000n);
    pass(100);
    expect(timers.next()).toBe(null);
  });

  it("holds back what came late beyond the period's end of the quota", async () => {
    let now = 0n;
    const clock = virtualClock(() => now);
    const timers = timerQueue(clock);
    clock.start();
    const backend = waiting();
    const driver = new RngDriver(machine(virtioRng({ backend, rate: { maxBytes: 2, periodMs: 1, timers } })));
    const request = driver.ask(4);
    await backend.give(1, 2, 3, 4);
    expect(driver.take([request])).toEqual([[1, 2]]);
    expect(backend.asked).toEqual([2]);
    now = 1_000_000n;
    driver.ask(1);
    timers.runDue();
    expect(backend.asked).toEqual([2, 1]);
  });

  it("that cannot be is refused", () => {
    const timers = timerQueue(virtualClock(() => 0n));
    const code = (rate: { maxBytes: number; periodMs: number }): unknown => {
      try {
        return virtioRng({ backend: counting(), rate: { ...rate, timers } });
      } catch (error) {
        return isMigrationError(error) ? [error.code, error.found] : error;
      }
    };
    expect(code({ maxBytes: 0, periodMs: 1 })).toEqual(["DEFINITION_INVALID", "0"]);
    expect(code({ maxBytes: 1, periodMs: 1.5 })).toEqual(["DEFINITION_INVALID", "1.5"]);
    expect(() => virtioRng({ backend: counting(), queueSize: 7 })).toThrow("queueSize");
  });
});
