// The engine and the real kernel together: what the interfaces promise each other.
import { incomingMigration, outgoingMigration } from "@godwit/migration";
import { type Channel, memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { kernelMachine } from "./support/kernel.ts";

const memoryBytes = 64 * 1024;

function kernelRig(wrap: (channel: Channel) => Channel = (channel) => channel) {
  const clock = new ManualClock();
  const hostNow = (): bigint => BigInt(clock.nowMs()) * 1_000_000n;
  const here = kernelMachine(memoryBytes, hostNow);
  const there = kernelMachine(memoryBytes, hostNow);
  here.kernel.resume();
  for (let i = 0; i < 1000; i++) here.tick();
  const [a, b] = memoryPair();
  const outgoing = outgoingMigration({
    machine: here.kernel,
    clock,
    connect: async () => wrap(a),
    yieldToHost: async () => {
      clock.advance(1);
      for (let i = 0; i < 3; i++) here.tick();
      await turn();
    },
    sliceBytes: 8 * 1024,
    parameters: { "downtime-limit": 1 },
  });
  const incoming = incomingMigration({ machine: there.kernel, clock, accept: async () => b });
  const run = () => drive(Promise.all([outgoing.run(), incoming.run()]), clock);
  return { clock, here, there, outgoing, incoming, run };
}

describe("a machine on the kernel", () => {
  it("migrates while it runs, and goes on where it was", async () => {
    const { here, there, clock, run } = kernelRig();
    const [source, destination] = await run();
    expect(source.state).toEqual({ status: "completed" });
    expect(destination.state).toEqual({ status: "completed" });
    expect([here.isRunning, there.isRunning]).toEqual([false, true]);
    expect(Buffer.compare(there.memory, here.memory)).toBe(0);
    expect(there.value).toBe(here.value);
    expect(here.value).toBeGreaterThan(1000n);
    // Guest time stood still meanwhile, and goes on there.
    expect(there.kernel.clock.now()).toBe(here.kernel.clock.now());
    clock.advance(5);
    expect(there.kernel.clock.now() - here.kernel.clock.now()).toBe(5_000_000n);
    expect(here.kernel.clock.running).toBe(false);
    expect(destination.load?.loadOrder).toEqual(["timer/0", "counter/0"]);
    expect(destination.load?.sections).toEqual(source.sections);
    expect(destination.statistics.receivedBytes).toBe(destination.load?.bytes);
    expect(source.sections.filter(({ phase }) => phase === "part").length).toBeGreaterThan(1);
    expect(source.statistics.ram.total).toBe(memoryBytes);
  });

  it("is the same machine after a cancel, and migrates at the second attempt", async () => {
    const first = kernelRig();
    first.outgoing.events.on("status", ({ status }) => {
      if (status === "device") first.outgoing.cancel();
    });
    const [source, destination] = await first.run();
    expect([source.state.status, destination.state.status]).toEqual(["cancelled", "cancelled"]);
    expect(first.here.isRunning).toBe(true);
    expect(first.here.kernel.clock.running).toBe(true);
    expect(first.there.isRunning).toBe(false);
    expect(first.there.value).toBe(0n);
    expect(first.there.memory.every((byte) => byte === 0)).toBe(true);

    const [a, b] = memoryPair();
    const { clock, here, there } = first;
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
    // The destination of the first attempt is free for another one.
    const incoming = incomingMigration({ machine: there.kernel, clock, accept: async () => b });
    const [second] = await drive(Promise.all([outgoing.run(), incoming.run()]), clock);
    expect(second.state).toEqual({ status: "completed" });
    expect(Buffer.compare(there.memory, here.memory)).toBe(0);
    expect(there.value).toBe(here.value);
  });

  it("that the destination cannot read stays, and the error says where", async () => {
    // The high byte of a page's index, in the RAM data that the destination decodes.
    let at = 0;
    const { here, there, run } = kernelRig((channel) => ({
      ...channel,
      send(bytes) {
        const place = 20_000 - at;
        at += bytes.length;
        if (place < 0 || place >= bytes.length) return channel.send(bytes);
        const changed = bytes.slice();
        changed.fill(0xff, place, place + 512);
        return channel.send(changed);
      },
    }));
    const [source, destination] = await run();
    expect(destination.state).toMatchObject({ status: "failed", ownership: "none" });
    expect(source.state).toMatchObject({ status: "failed" });
    if (source.state.status === "failed" && destination.state.status === "failed") {
      expect(source.state.error.toJSON()).toEqual(destination.state.error.toJSON());
      expect(source.state.error.location.side).toBe("destination");
    }
    expect([here.isRunning, there.isRunning]).toEqual([true, false]);
  });

  it("with other devices than the destination's is refused by name, before its first page", async () => {
    const { here, there, run } = kernelRig();
    const { u8, vmstate } = await import("@godwit/core");
    here.kernel.device(vmstate({ name: "extra", version: 1, fields: { a: u8 } }), {
      path: "0000:00:05.0",
      save: () => ({ a: 1 }),
      load: () => {},
    });
    there.kernel.device(vmstate({ name: "other", version: 4, fields: { a: u8 } }), {
      save: () => ({ a: 1 }),
      load: () => {},
    });
    const [source] = await run();
    expect(source.misfits.map(({ code, subject }) => `${code} ${subject}`)).toEqual([
      "SECTION_UNKNOWN section 0000:00:05.0/extra/0",
      "SECTION_MISSING section other/0",
    ]);
    expect(source.sections).toEqual([]);
    expect(here.isRunning).toBe(true);
  });
});
