// Who connects to a destination: scanners and strangers must not cost it the machine that it waits for.
import { incomingMigration, type OutgoingMigration, outgoingMigration } from "@godwit/migration";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import { type Channel, memoryPair, memoryTransport } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { TestMachine } from "./support/machine.ts";
import { fillPages, ramMachine } from "./support/ram-machine.ts";

const peerTimeoutMs = 1000;

/** A destination that is given these connections, one after another; then `accept` answers no more, or rejects. */
function destination(connections: readonly Channel[], last?: Error) {
  const clock = new ManualClock();
  const waiting = [...connections];
  let asked = 0;
  const incoming = incomingMigration({
    machine: new TestMachine({ pages: 4, running: false }),
    clock,
    accept: () => {
      asked++;
      const next = waiting.shift();
      if (next !== undefined) return Promise.resolve(next);
      return last === undefined ? new Promise(() => {}) : Promise.reject(last);
    },
    peerTimeoutMs,
  });
  return { clock, incoming, asked: () => asked };
}

describe("a connection that says nothing and leaves", () => {
  it.each(["closes", "breaks"] as const)("is not the source: the next one may be; it %s", async (how) => {
    const pairs = [memoryPair(), memoryPair(), memoryPair()] as const;
    const [scanner, another, real] = pairs;
    const { clock, incoming, asked } = destination(pairs.map(([, there]) => there));
    for (const [end] of [scanner, another]) {
      if (how === "closes") await end.close();
      else end.abort(new Error("only looking"));
    }
    const machine = new TestMachine({ pages: 4 });
    machine.fill(9);
    const outgoing = outgoingMigration({ machine, clock, connect: async () => real[0], yieldToHost: turn });
    const [from, to] = await drive(Promise.all([outgoing.run(), incoming.run()]), clock, 10);
    expect([from.state, to.state]).toEqual([{ status: "completed" }, { status: "completed" }]);
    expect(asked()).toBe(3);
  });

  it("is what the migration ends with where nobody else can come", async () => {
    const [end, there] = memoryPair();
    const { clock, incoming } = destination([there], new Error("the listener is closed"));
    await end.close();
    const { state } = await drive(incoming.run(), clock, 50);
    expect(state).toMatchObject({ status: "failed", error: { code: "PEER_CLOSED" } });
  });

  it("is not taken for another one where the same is given again", async () => {
    const clock = new ManualClock();
    const [end, there] = memoryPair();
    const incoming = incomingMigration({
      machine: new TestMachine({ pages: 4, running: false }),
      clock,
      accept: async () => there,
    });
    await end.close();
    const { state } = await drive(incoming.run(), clock, 50);
    expect(state).toMatchObject({ status: "failed", error: { code: "PEER_CLOSED" } });
  });

  it("may be followed by a cancel", async () => {
    const [end, there] = memoryPair();
    const { clock, incoming, asked } = destination([there]);
    await end.close();
    const run = incoming.run();
    while (asked() < 2) await turn();
    expect(incoming.cancel()).toBe(true);
    expect((await drive(run, clock)).state).toEqual({ status: "cancelled" });
    expect(clock.timers).toBe(0);
  });
});

describe("a connection that says", () => {
  it("something else is refused at its first byte, and not when it has said four", async () => {
    const [end, there] = memoryPair();
    const { clock, incoming } = destination([there]);
    await end.send(Uint8Array.of(0x16));
    // No time passes: were more waited for, this would not end.
    const { state } = await drive(incoming.run(), clock);
    expect(state).toMatchObject({ status: "failed", error: { code: "PEER_KIND", found: "16" } });
  });

  it("one byte of a magic and no more is given up in time", async () => {
    const [end, there] = memoryPair();
    const { clock, incoming } = destination([there]);
    await end.send(Uint8Array.of(0x47));
    const { state } = await drive(incoming.run(), clock, 50);
    expect(state).toMatchObject({ status: "failed", error: { code: "PEER_SILENT" } });
    expect(clock.timers).toBe(0);
  });
});

interface Pages {
  began?(migration: OutgoingMigration): void;
  /** What connects before the source does, and once it has. */
  before?(connect: () => Promise<Channel>): Promise<void>;
  between?(connect: () => Promise<Channel>): Promise<void>;
  /** The n-th accept rejects. */
  readonly acceptFails?: number;
}

/** Answers in the place of the transport, where a test says so. */
let onConnect: (() => Promise<Channel> | undefined) | undefined;

/** A migration over two connections of pages. */
async function withPages({ began, before, between, acceptFails }: Pages = {}) {
  const clock = new ManualClock();
  const transport = memoryTransport({ bufferBytes: 64 * 1024 });
  const listener = await transport.listen("memory:here");
  const connect = () => transport.connect("memory:here");
  const source = ramMachine({ pages: 200 });
  const target = ramMachine({ pages: 200 });
  fillPages(source.memory());
  source.kernel.resume();
  let asked = 0;
  let connections = 0;
  const sending = outgoingMigration({
    machine: source.kernel,
    clock,
    ram: source.ram,
    capabilities: { multifd: true },
    connect: async () => {
      if (connections++ === 1) await between?.(connect);
      return onConnect?.() ?? connect();
    },
    sendOver: (channels) =>
      source.ram.sendBy({ multifd: multifdSender({ channels, sync: "round", zeroPages: "packets" }) }),
    yieldToHost: async () => {
      clock.advance(1);
      await turn();
    },
  });
  onConnect = undefined;
  began?.(sending);
  target.ram.receiveBy({ multifd: { channels: 2, sync: "round" } });
  const receiving = incomingMigration({
    machine: target.kernel,
    clock,
    ram: target.ram,
    capabilities: { multifd: true },
    accept: () => {
      if (++asked === acceptFails) return Promise.reject(new Error("the listener broke"));
      return listener.accept();
    },
    peerTimeoutMs: 5000,
  });
  await before?.(connect);
  const [from, to] = await drive(Promise.all([sending.run(), receiving.run()]), clock, 20);
  expect(source.isRunning && target.isRunning).toBe(false);
  const same = Buffer.compare(target.memory(), source.memory()) === 0;
  return { from, to, source, same, asked, sending, listener, connect };
}

/** As a migration that is gone opened it: "GDWC", version 2, its session, channel 0. */
const foreign = Uint8Array.of(0x47, 0x44, 0x57, 0x43, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0);

describe("connections of pages", () => {
  it("are asked for as many times as there are, and nobody waits for one more", async () => {
    const { from, to, asked, listener, connect } = await withPages();
    expect([from.state.status, to.state.status]).toEqual(["completed", "completed"]);
    expect(asked).toBe(3);
    // What comes now is somebody else's, and still there for whoever accepts it.
    const [next] = await Promise.all([listener.accept(), connect()]);
    await expect(next.send(Uint8Array.of(1))).resolves.toBeUndefined();
    await listener.close();
  });

  it.each(["before", "between"] as const)("of another migration do no harm, %s this one's", async (when) => {
    const strangers: Channel[] = [];
    const { from, to, same } = await withPages({
      [when]: async (connect: () => Promise<Channel>) => {
        const stranger = await connect();
        await stranger.send(foreign);
        strangers.push(stranger);
      },
    });
    expect([from.state, to.state]).toEqual([{ status: "completed" }, { status: "completed" }]);
    expect(same).toBe(true);
    await expect(strangers[0]?.receive()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: "TRANSPORT_CLOSED",
    });
  });

  it("that say nothing and leave do no harm, either", async () => {
    const { from, to, same } = await withPages({
      between: async (connect) => (await connect()).close(),
    });
    expect([from.state, to.state]).toEqual([{ status: "completed" }, { status: "completed" }]);
    expect(same).toBe(true);
  });

  it("that cannot come any more end the attempt with the reason", async () => {
    const { to, source } = await withPages({ acceptFails: 3 });
    expect(to.state).toMatchObject({ status: "failed", error: { message: expect.stringContaining("listener broke") } });
    expect(source.isRunning).toBe(true);
  });

  it("keep to the number that was agreed on, whatever the parameter says since", async () => {
    const { from, same, sending } = await withPages({
      began: (migration) => {
        migration.events.on("status", ({ status }) => {
          if (status === "setup") migration.setParameters({ "multifd-channels": 5 });
        });
      },
    });
    expect(from.state).toEqual({ status: "completed" });
    expect(same).toBe(true);
    expect(sending.parameters["multifd-channels"]).toBe(5);
  });

  it("are closed again, all of them, where the attempt is cancelled while they are made", async () => {
    let arrive: () => void = () => {};
    const late = memoryPair();
    const { from, source } = await withPages({
      began: (migration) => {
        let asked = 0;
        const first = migration.state;
        expect(first).toEqual({ status: "none" });
        onConnect = () => {
          if (++asked < 3) return undefined;
          void turn().then(() => migration.cancel());
          return new Promise<Channel>((resolve) => {
            arrive = () => resolve(late[0]);
          });
        };
      },
    });
    expect(from.state).toEqual({ status: "cancelled" });
    expect(source.isRunning).toBe(true);
    arrive();
    await expect(late[1].receive()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });
});
