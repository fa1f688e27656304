// Live migration to a destination that makes devices as the stream names them, and reads those of an earlier release.
import { type DeviceInit, former, type StateOf, u8, u16, vmstate } from "@godwit/core";
import { incomingMigration, outgoingMigration } from "@godwit/migration";
import { memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { kernelMachine } from "./support/kernel.ts";

const memoryBytes = 16 * 1024;
const card = vmstate({ name: "card", version: 1, fields: { x: u8 } });
const oldPort = vmstate({ name: "port", version: 1, fields: { level: u8 } });
const port = vmstate({ name: "line", version: 1, fields: { level: u16 } });
type Card = StateOf<typeof card>;

function rig() {
  const clock = new ManualClock();
  const hostNow = (): bigint => BigInt(clock.nowMs()) * 1_000_000n;
  const here = kernelMachine(memoryBytes, hostNow);
  const there = kernelMachine(memoryBytes, hostNow);
  const log: string[] = [];
  const plugged = new Map<string, Card>();
  /** The destination's cards: none before the stream comes. */
  const serveCards = (more: Partial<DeviceInit<Card>> = {}) =>
    there.kernel.kind(card, (idstr) => {
      const own = { x: 0 };
      return {
        save: () => own,
        load: (state) => void Object.assign(own, state),
        plugged: () => {
          log.push(`plugged ${idstr}`);
          plugged.set(idstr, own);
        },
        unplugged: () => {
          log.push(`unplugged ${idstr}`);
          plugged.delete(idstr);
        },
        ...more,
      };
    });
  const move = () => {
    const [a, b] = memoryPair();
    const outgoing = outgoingMigration({
      machine: here.kernel,
      clock,
      connect: async () => a,
      yieldToHost: async () => {
        clock.advance(1);
        here.tick();
        await turn();
      },
    });
    const incoming = incomingMigration({ machine: there.kernel, clock, accept: async () => b });
    return drive(Promise.all([outgoing.run(), incoming.run()]), clock);
  };
  here.kernel.resume();
  return { here, there, log, plugged, serveCards, move };
}

const inserted = (x: number): Pick<DeviceInit<Card>, "save" | "load"> => ({ save: () => ({ x }), load: () => {} });

describe("a machine with a card that the destination lacks", () => {
  it("migrates where the destination makes it", async () => {
    const { here, there, log, plugged, serveCards, move } = rig();
    here.kernel.device(card, { path: "slot-2", ...inserted(77) });
    serveCards();
    const [source, destination] = await move();
    expect([source.state, destination.state]).toEqual([{ status: "completed" }, { status: "completed" }]);
    expect(plugged).toEqual(new Map([["slot-2/card", { x: 77 }]]));
    expect(log).toEqual(["plugged slot-2/card"]);
    expect(destination.load?.notes.map(({ code, section }) => [code, section])).toContainEqual([
      "plugged",
      "slot-2/card/0",
    ]);
    expect([here.isRunning, there.isRunning]).toEqual([false, true]);
    expect(there.kernel.manifest().sections).toEqual(here.kernel.manifest().sections);
  });

  it("stays where the destination cannot, and every such card is named before the first page", async () => {
    const { here, there, move } = rig();
    here.kernel.device(card, { path: "slot-2", ...inserted(1) });
    here.kernel.device(card, { path: "slot-3", ...inserted(2) });
    const [source] = await move();
    expect(source.misfits.map(({ code, subject }) => `${code} ${subject}`)).toEqual([
      "SECTION_UNKNOWN section slot-2/card/0",
      "SECTION_UNKNOWN section slot-3/card/0",
    ]);
    expect(source.sections).toEqual([]);
    expect([here.isRunning, there.isRunning]).toEqual([true, false]);
  });

  it("goes on where it was if the card does not get ready there, and the card is out again", async () => {
    const { here, there, log, plugged, serveCards, move } = rig();
    here.kernel.device(card, { path: "slot-2", ...inserted(77) });
    serveCards({ ready: () => Promise.reject(new Error("cold")) });
    const before = there.kernel.manifest();
    const [source, destination] = await move();
    expect(source.state).toMatchObject({ status: "failed", error: { code: "DEVICE_FAILED" } });
    expect(destination.state).toMatchObject({ status: "failed", ownership: "none", error: { code: "DEVICE_FAILED" } });
    expect(log).toEqual(["plugged slot-2/card", "unplugged slot-2/card"]);
    expect(plugged.size).toBe(0);
    expect(there.kernel.manifest()).toEqual(before);
    expect([here.isRunning, there.isRunning]).toEqual([true, false]);
  });
});

describe("a machine of an earlier release", () => {
  it("migrates to one that has given a device its place", async () => {
    const { here, there, move } = rig();
    here.kernel.device(card, inserted(9));
    const own = { x: 0 };
    there.kernel.device(card, { path: "slot-1", save: () => own, load: (state) => void Object.assign(own, state) });
    const [source, destination] = await move();
    expect([source.state, destination.state]).toEqual([{ status: "completed" }, { status: "completed" }]);
    expect(own).toEqual({ x: 9 });
  });

  it("migrates to one that reads its sections", async () => {
    const { here, there, move } = rig();
    here.kernel.device(oldPort, { save: () => ({ level: 5 }), load: () => {} });
    let level = 0;
    there.kernel.device(port, {
      formerly: ["never", former(oldPort, { convert: (state) => ({ level: state.level * 100 }) })],
      save: () => ({ level }),
      load: (state) => {
        level = state.level;
      },
    });
    const [source, destination] = await move();
    expect([source.state, destination.state]).toEqual([{ status: "completed" }, { status: "completed" }]);
    expect(level).toBe(500);
    expect([here.isRunning, there.isRunning]).toEqual([false, true]);
  });
});
