// The device moves while requests wait: none is lost, none is answered twice, and nothing but the ring travels.
import { timerQueue, virtualClock } from "@godwit/core";
import { machine, move } from "@godwit/virtio-testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { virtioRng } from "../src/model.ts";
import { counting, type Request, RngDriver, waiting } from "./support/rng-driver.ts";

describe("a move", () => {
  it("leaves a waiting request in its ring, and the destination asks for it", async () => {
    const [here, there] = [waiting(), waiting()];
    const driver = new RngDriver(machine(virtioRng({ backend: here })));
    const request = driver.ask(3);
    await driver.machine.quiesce();
    const bytes = driver.machine.save();
    const to = machine(virtioRng({ backend: there }));
    move(driver, to);
    // What arrives at the source now is the source's: neither memory takes it.
    const source = to.ram.slice();
    await here.give(7, 7, 7);
    expect(Buffer.compare(to.ram, source)).toBe(0);
    expect(there.asked).toEqual([3]);
    await there.give(1, 2, 3);
    expect(driver.take([request])).toEqual([[1, 2, 3]]);
    expect(to.interrupts).toEqual([0]);
    // A queue's available index counts it as not taken.
    expect(to.save()).not.toEqual(bytes);
    expect(to.device.queues[0]).toMatchObject({ inuse: 0 });
  });

  it("that fails goes on here, with the bytes that came while the machine stood", async () => {
    const backend = waiting();
    const driver = new RngDriver(machine(virtioRng({ backend })));
    const request = driver.ask(2);
    await driver.machine.quiesce();
    const stopped = driver.machine.ram.slice();
    await backend.give(1, 2);
    expect(Buffer.compare(driver.machine.ram, stopped)).toBe(0);
    expect(driver.machine.interrupts).toEqual([]);
    driver.machine.resume();
    expect(driver.take([request])).toEqual([[1, 2]]);
    expect([driver.machine.interrupts, backend.asked]).toEqual([[0], [2]]);
  });

  it("begins with a whole quota, and without a timer of the machine that was here", () => {
    const clock = virtualClock(() => 0n);
    const timers = timerQueue(clock);
    clock.start();
    const make = () => virtioRng({ backend: counting(), rate: { maxBytes: 4, periodMs: 10, timers } });
    const driver = new RngDriver(machine(make()));
    const requests = [driver.ask(4), driver.ask(4)];
    expect(driver.take(requests)).toHaveLength(1);
    const slot = driver.machine.save();
    expect(timers.next()).toBe(10_000_000n);
    driver.machine.load(slot);
    expect(timers.next()).toBe(null);
    driver.machine.resume();
    expect(driver.take(requests)).toEqual([[5, 6, 7, 8]]);
  });

  it("keeps every request through any run of questions, answers and moves", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("ask" as const), bytes: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ kind: fc.constant("give" as const), bytes: fc.integer({ min: 0, max: 12 }) }),
      fc.record({ kind: fc.constant("move" as const), bytes: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        let backend = waiting();
        let next = 1;
        const driver = new RngDriver(machine(virtioRng({ backend })));
        const open: Request[] = [];
        const asked: Request[] = [];
        const seen: number[] = [];
        for (const { kind, bytes } of steps) {
          if (kind === "ask" && open.length < 8) {
            const request = driver.ask(bytes);
            open.push(request);
            asked.push(request);
          } else if (kind === "give") {
            const from = next;
            next += bytes;
            await backend.give(...Array.from({ length: bytes }, (_, i) => from + i));
            // An empty answer or one for nobody leaves the question for the next kick.
            driver.ring(0).kick();
          } else if (kind === "move") {
            backend = waiting();
            move(driver, machine(virtioRng({ backend })));
          }
          for (const { head, length } of driver.ring(0).reap()) {
            const request = open.shift();
            expect(request?.head).toBe(head);
            expect(length).toBeGreaterThan(0);
            seen.push(...driver.bytes((request as Request).at, length));
          }
        }
        // Bytes come out in order, each once.
        for (const [i, byte] of seen.entries()) if (i > 0) expect(byte).toBeGreaterThan(seen[i - 1] as number);
        while (open.length > 0) {
          await backend.give(255);
          driver.ring(0).kick();
          for (const { head } of driver.ring(0).reap()) expect(open.shift()?.head).toBe(head);
        }
        expect(driver.ring(0).reap()).toEqual([]);
      }),
      { seed: 4, numRuns: 60 },
    );
  });
});
