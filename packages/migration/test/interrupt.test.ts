import { MigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { Inbox, Interrupt } from "../src/interrupt.ts";
import { ManualClock, turn } from "./support/clock.ts";

const reason = new MigrationError("MIGRATION_CANCELLED", "enough");
const later = new MigrationError("PEER_CLOSED", "gone");

describe("an interrupt", () => {
  it("ends every wait, and every later one, with its first reason", async () => {
    const interrupt = new Interrupt();
    const waits = [interrupt.wait(new Promise(() => {})), interrupt.wait(new Promise(() => {}))];
    interrupt.raise(reason);
    interrupt.raise(later);
    for (const wait of waits) await expect(wait).rejects.toBe(reason);
    await expect(interrupt.wait(Promise.resolve(1))).rejects.toBe(reason);
    expect(() => interrupt.check()).toThrow(reason);
  });

  it("leaves what came first alone", async () => {
    const interrupt = new Interrupt();
    const good = interrupt.wait(Promise.resolve(7));
    const bad = interrupt.wait(Promise.reject(later));
    await expect(good).resolves.toBe(7);
    await expect(bad).rejects.toBe(later);
    interrupt.check();
  });

  it("hears a rejection that comes too late, so that it is not unhandled", async () => {
    const interrupt = new Interrupt();
    let reject: (error: unknown) => void = () => {};
    const wait = interrupt.wait(
      new Promise((_, fail) => {
        reject = fail;
      }),
    );
    interrupt.raise(reason);
    reject(later);
    await expect(wait).rejects.toBe(reason);
    await turn();
  });

  it("takes a sleeper's timer back", async () => {
    const interrupt = new Interrupt();
    const clock = new ManualClock();
    const slept = interrupt.sleep(clock, 10);
    clock.advance(10);
    await slept;
    const woken = interrupt.sleep(clock, 10);
    interrupt.raise(reason);
    await expect(woken).rejects.toBe(reason);
    expect(clock.timers).toBe(0);
  });
});

describe("an inbox", () => {
  it("gives messages in order, to those who wait and to those who come later", async () => {
    const inbox = new Inbox<number>(new Interrupt());
    const first = inbox.take();
    inbox.put(1);
    inbox.put(2);
    inbox.put(3);
    expect(inbox.waitingMessages).toBe(2);
    expect([await first, await inbox.take(), await inbox.take()]).toEqual([1, 2, 3]);
  });

  it("gives what had arrived even after an interrupt, and then the reason", async () => {
    const interrupt = new Interrupt();
    const inbox = new Inbox<number>(interrupt);
    const first = inbox.take();
    inbox.put(1);
    inbox.put(2);
    interrupt.raise(reason);
    expect(await first).toBe(1);
    expect(await inbox.take()).toBe(2);
    await expect(inbox.take()).rejects.toBe(reason);
  });

  it("raised by what is being waited for ends every wait all the same, and takes this one back", async () => {
    const interrupt = new Interrupt();
    const reason = new MigrationError("MIGRATION_CANCELLED", "enough");
    let isUndone = false;
    const [before, during] = [
      interrupt.wait(new Promise(() => {})),
      interrupt.race(() => {
        interrupt.raise(reason);
        return () => {
          isUndone = true;
        };
      }),
    ];
    await expect(before).rejects.toBe(reason);
    await expect(during).rejects.toBe(reason);
    expect(isUndone).toBe(true);
  });
});
