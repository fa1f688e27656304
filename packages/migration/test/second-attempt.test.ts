// An attempt that comes to nothing, wherever: the guest goes on as if nothing had been, and the next attempt brings all.
import { incomingMigration, type OutgoingMigration, outgoingMigration, type SourceReport } from "@godwit/migration";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import { type Channel, memoryTransport } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { fillPages, type RamMachine, ramMachine } from "./support/ram-machine.ts";

const pages = 120;

interface Mode {
  readonly capabilities: { readonly xbzrle?: boolean; readonly multifd?: boolean; readonly "auto-converge"?: boolean };
}

const modes: Readonly<Record<string, Mode>> = {
  plain: { capabilities: {} },
  xbzrle: { capabilities: { xbzrle: true } },
  multifd: { capabilities: { multifd: true } },
};

interface Attempt {
  readonly mode: Mode;
  /** Called after each of the host's turns, and at each change of state. */
  at?(what: string, migration: OutgoingMigration, channel: Channel | undefined): void;
}

async function attempt(source: RamMachine, { mode, at }: Attempt) {
  const clock = new ManualClock();
  const transport = memoryTransport({ bufferBytes: 64 * 1024 });
  const listener = await transport.listen("memory:there");
  const destination = ramMachine({ pages });
  const { capabilities } = mode;
  let main: Channel | undefined;
  let turns = 0;
  const migration = outgoingMigration({
    machine: source.kernel,
    clock,
    ram: source.ram,
    capabilities,
    parameters: { "downtime-limit": 1 },
    connect: async () => {
      const channel = await transport.connect("memory:there");
      main ??= channel;
      return channel;
    },
    sendOver: (channels) =>
      source.ram.sendBy({ multifd: multifdSender({ channels, sync: "round", zeroPages: "packets" }) }),
    yieldToHost: async () => {
      clock.advance(1);
      if (turns++ < 12) source.tick();
      at?.(`turn ${turns}`, migration, main);
      await turn();
    },
    sliceBytes: 32 * 1024,
  });
  migration.events.on("status", ({ status }) => at?.(status, migration, main));
  if (capabilities.multifd) destination.ram.receiveBy({ multifd: { channels: 2, sync: "round" } });
  const incoming = incomingMigration({
    machine: destination.kernel,
    clock,
    ram: destination.ram,
    capabilities: { multifd: capabilities.multifd === true },
    accept: () => listener.accept(),
    peerTimeoutMs: 5000,
  });
  const receiving = incoming.run();
  const from = await drive(migration.run(), clock, 20);
  incoming.cancel();
  await drive(receiving, clock, 20);
  await listener.close();
  return { from, destination };
}

/** Everything that is seen of the guest. */
const shown = ({ isRunning, ticks, memory }: RamMachine) => ({
  isRunning,
  ticks,
  memory: Buffer.from(memory()).toString("base64"),
});

async function expectSecond(source: RamMachine, mode: Mode): Promise<void> {
  const { from, destination } = await attempt(source, { mode });
  expect(from.state).toEqual({ status: "completed" });
  expect(source.isRunning).toBe(false);
  expect(destination.isRunning).toBe(true);
  expect(destination.ticks).toBe(source.ticks);
  expect(Buffer.compare(destination.memory(), source.memory())).toBe(0);
}

/** What happens in an attempt that nobody disturbs: the places to disturb it at. */
async function placesOf(mode: Mode): Promise<string[]> {
  const source = begun();
  const places: string[] = [];
  await attempt(source, { mode, at: (what) => places.push(what) });
  return places;
}

function begun(): RamMachine {
  const source = ramMachine({ pages });
  fillPages(source.memory());
  source.kernel.resume();
  return source;
}

/** Where the machine is given away: from there on it is not ours to keep. */
const late = new Set(["released", "completed"]);

describe.each(Object.entries(modes))("%s:", (_, mode) => {
  it("a cancel at any place leaves the guest running with its memory, and a second attempt succeeds", async () => {
    const outcomes = new Set<string>();
    for (const place of await placesOf(mode)) {
      const source = begun();
      let atCancel: ReturnType<typeof shown> | undefined;
      const { from, destination } = await attempt(source, {
        mode,
        at(what, migration) {
          if (what !== place || atCancel !== undefined) return;
          const taken = migration.cancel();
          if (taken) atCancel = shown(source);
        },
      });
      outcomes.add(from.state.status);
      expect(source.isRunning && destination.isRunning, place).toBe(false);
      if (atCancel === undefined) {
        expect(late, place).toContain(place);
        continue;
      }
      expectStayed(from, source, place);
      expect(source.ticks).toBe(atCancel.ticks);
      expect(shown(source).memory, place).toBe(atCancel.memory);
      expect(source.ram.absent()).toBeUndefined();
      await expectSecond(source, mode);
    }
    expect([...outcomes].sort()).toEqual(["cancelled", "completed"]);
  });

  it("a connection that breaks before the release does likewise", async () => {
    for (const place of (await placesOf(mode)).filter((what) => !late.has(what) && what !== "release")) {
      const source = begun();
      const { from, destination } = await attempt(source, {
        mode,
        at(what, _migration, channel) {
          if (what === place) channel?.abort(new Error("cut"));
        },
      });
      expect(source.isRunning && destination.isRunning, place).toBe(false);
      if (from.state.status === "completed") continue;
      expectStayed(from, source, place);
      await expectSecond(source, mode);
    }
  });
});

function expectStayed({ state }: SourceReport, source: RamMachine, place: string): void {
  expect(["cancelled", "failed"], place).toContain(state.status);
  expect(source.isRunning, place).toBe(true);
}
