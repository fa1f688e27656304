// What an attempt leaves behind: nothing of its ways of sending, its connections or its timers, however it ended.
import { incomingMigration, type OutgoingMigration, outgoingMigration } from "@godwit/migration";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import { type Channel, memoryTransport } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { concat } from "./support/machine.ts";
import { fillPages, ramMachine } from "./support/ram-machine.ts";
import { Rig } from "./support/rig.ts";

const pages = 60;

async function attempt(capability: "xbzrle" | "multifd", at?: (status: string, migration: OutgoingMigration) => void) {
  const clock = new ManualClock();
  const transport = memoryTransport({ bufferBytes: 64 * 1024 });
  const listener = await transport.listen("memory:there");
  const source = ramMachine({ pages });
  const target = ramMachine({ pages });
  fillPages(source.memory());
  source.kernel.resume();
  const channels: Channel[] = [];
  const migration = outgoingMigration({
    machine: source.kernel,
    clock,
    ram: source.ram,
    capabilities: { [capability]: true },
    connect: async () => {
      const channel = await transport.connect("memory:there");
      channels.push(channel);
      // Pages: a peer that never lets them close.
      return channels.length === 1 ? channel : { ...channel, close: () => new Promise(() => {}) };
    },
    sendOver: (sinks) =>
      source.ram.sendBy({ multifd: multifdSender({ channels: sinks, sync: "round", zeroPages: "packets" }) }),
    yieldToHost: async () => {
      clock.advance(1);
      await turn();
    },
  });
  migration.events.on("status", ({ status }) => at?.(status, migration));
  if (capability === "multifd") target.ram.receiveBy({ multifd: { channels: 2, sync: "round" } });
  const incoming = incomingMigration({
    machine: target.kernel,
    clock,
    ram: target.ram,
    capabilities: { multifd: capability === "multifd" },
    accept: () => listener.accept(),
  });
  const [from] = await drive(Promise.all([migration.run(), incoming.run()]), clock, 20);
  await listener.close();
  return { source, from, clock, channels };
}

/** The whole stream as anybody else would have it: a checkpoint, or the next migration. */
function streamOf({ kernel }: ReturnType<typeof ramMachine>): Uint8Array {
  const outgoing = kernel.outgoing();
  const chunks: Uint8Array[] = [];
  kernel.pause();
  for (const part of [outgoing.setup(), outgoing.complete()]) for (const chunk of part) chunks.push(chunk.slice());
  outgoing.end(false);
  return concat(chunks);
}

describe.each(["xbzrle", "multifd"] as const)("after an attempt with %s", (capability) => {
  it.each(["completed", "cancelled"] as const)("that is %s, whoever sends next sends plainly", async (how) => {
    const { source, from } = await attempt(capability, (status, migration) => {
      if (status === "quiescing" && how === "cancelled") migration.cancel();
    });
    expect(from.state).toEqual({ status: how });
    expect(from.cleanupError).toBeUndefined();
    const untouched = ramMachine({ pages });
    untouched.memory().set(source.memory());
    expect(streamOf(source).length).toBe(streamOf(untouched).length);
  });
});

describe("a connection of pages that does not close", () => {
  it("is broken off when the last word had its time", async () => {
    const { from, clock, channels } = await attempt("multifd");
    expect(from.state).toEqual({ status: "completed" });
    await drive(turn(), clock);
    expect(clock.timers).toBe(0);
    expect(channels).toHaveLength(3);
    for (const channel of channels.slice(1)) {
      await expect(channel.send(Uint8Array.of(1))).rejects.toMatchObject({ code: "PEER_CLOSED" });
    }
  });
});

describe("a clean-up that throws at the destination", () => {
  it("changes nothing of how the attempt ended, and is told", async () => {
    const rig = new Rig({ destination: { failAt: { step: "discard" } } });
    rig.incoming.events.on("status", ({ status }) => {
      if (status === "checking") rig.incoming.cancel();
    });
    const { source, destination } = await rig.run();
    expect(destination.state).toEqual({ status: "cancelled" });
    expect(destination.cleanupError).toMatchObject({ code: "MACHINE_FAILED", detail: "discard failed" });
    expect(source.state.status).toBe("failed");
    expect(rig.source.isRunning).toBe(true);
  });
});
