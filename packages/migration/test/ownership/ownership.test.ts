// Ownership in the engines: what the preamble refuses, a second destination, and questions to the right and the wrong host.
import {
  answerOwnership,
  type Channel,
  incomingMigration,
  memoryOwnershipLog,
  type OwnershipLog,
  type OwnershipRecord,
  type ResolveOptions,
  resolveOwnership,
} from "@godwit/migration";
import { memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { drive, ManualClock, turn } from "../support/clock.ts";
import { ScriptedPeer } from "../support/peer.ts";
import { Rig, type RigOptions } from "../support/rig.ts";

const machine = "00112233445566778899aabbccddeeff";
const other = "ffeeddccbbaa99887766554433221100";
const at = (state: OwnershipRecord["state"], epoch: number): OwnershipRecord => ({ machine, epoch, state });

function rigWith(here: OwnershipLog, there: OwnershipLog, options: RigOptions = {}): Rig {
  return new Rig({
    ...options,
    source: { pages: 16, ...options.source },
    outgoing: { ownership: { machine, log: here }, ...options.outgoing },
    incoming: { ownership: { log: there }, ...options.incoming },
  });
}

const logOf = (...records: OwnershipRecord[]) => memoryOwnershipLog(records);

describe("before the first page", () => {
  it.each<[string, OwnershipRecord]>([
    ["owns the machine itself", at("owned", 1)],
    ["has refused the epoch", at("refused", 6)],
    ["has accepted it", at("accepted", 6)],
    ["has seen a newer one", at("released", 9)],
    ["has released the epoch that the source says it owns", at("released", 5)],
  ])("a destination that %s refuses", async (_, record) => {
    const [here, there] = [logOf(at("owned", 5)), logOf(record)];
    const rig = rigWith(here, there);
    const { source, destination } = await rig.run();
    expect(source.state).toMatchObject({ status: "failed", error: { code: "PREAMBLE_MISFIT" } });
    expect(source.misfits).toMatchObject([{ code: "OWNERSHIP_EPOCH", subject: "ownership", refuses: true }]);
    expect(source.misfits[0]?.found).toBe("an offer of epoch 6");
    expect(destination.misfits).toEqual(source.misfits);
    expect(rig.source.isRunning).toBe(true);
    expect(rig.source.log).not.toContain("outgoing");
    expect(await there.read(machine)).toEqual(record);
  });

  it("another machine than the one that is expected is refused", async () => {
    const there = logOf();
    const rig = rigWith(logOf(at("owned", 1)), there, { incoming: { ownership: { machine: other, log: there } } });
    const { source } = await rig.run();
    expect(source.misfits).toMatchObject([{ code: "OWNERSHIP_MACHINE", expected: other, found: machine }]);
    expect(await there.read(machine)).toBeUndefined();
  });

  it("sides of which only one keeps a record do not fit, and nothing is promised", async () => {
    const there = logOf();
    const noSource = new Rig({ source: { pages: 16 }, incoming: { ownership: { log: there } } });
    const misfit = { code: "CAPABILITY_MISMATCH", subject: "ownership", refuses: true };
    expect((await noSource.run()).source.misfits).toMatchObject([{ ...misfit, found: "none" }]);
    noSource.expectStayed();
    const noDestination = new Rig({
      source: { pages: 16 },
      outgoing: { ownership: { machine, log: logOf(at("owned", 1)) } },
    });
    expect((await noDestination.run()).source.misfits).toMatchObject([{ ...misfit, expected: "none" }]);
    noDestination.expectStayed();
  });

  it.each<[string, OwnershipRecord[], string]>([
    ["has no record", [], "OWNERSHIP_RECORD"],
    ["has released", [at("released", 1)], "OWNERSHIP_CONFLICT"],
    ["was never given the machine", [at("accepted", 1)], "OWNERSHIP_CONFLICT"],
  ])("a source that %s does not even connect", async (_, records, code) => {
    const rig = rigWith(logOf(...records), logOf());
    const { state } = await drive(rig.outgoing.run(), rig.clock);
    expect(state).toMatchObject({ status: "failed", error: { code, location: { side: "source" } } });
    expect(rig.sourceChannel).toBeUndefined();
  });

  it("a destination whose record cannot be read takes nothing", async () => {
    const broken: OwnershipLog = {
      read: async () => ({ machine, epoch: "2", state: "owned" }) as never,
      write: async () => {},
    };
    const rig = rigWith(logOf(at("owned", 1)), broken);
    const { source, destination } = await rig.run();
    for (const { state } of [source, destination]) {
      expect(state).toMatchObject({ status: "failed", error: { code: "OWNERSHIP_RECORD" } });
    }
    rig.expectStayed();
  });
});

describe("attempt after attempt", () => {
  it("each promises an epoch of its own, and the machine goes to and fro", async () => {
    const [a, b, c] = [logOf(at("owned", 1)), logOf(), logOf()];
    const failing = rigWith(a, b, { destination: { failAt: { step: "end" } } });
    expect((await failing.run()).source.state.status).toBe("failed");
    failing.expectStayed();
    expect([await a.read(machine), await b.read(machine)]).toEqual([
      { ...at("owned", 1), offered: true },
      at("refused", 2),
    ]);

    const back = rigWith(a, b, { destination: { failAt: { step: "commit" } } });
    expect((await back.run()).source.state.status).toBe("failed");
    back.expectStayed();
    expect([await a.read(machine), await b.read(machine)]).toEqual([at("owned", 5), at("refused", 4)]);

    const moves: [OwnershipLog, OwnershipLog, number][] = [
      [a, c, 6],
      [c, b, 7],
      [b, a, 8],
    ];
    for (const [from, to, epoch] of moves) {
      const rig = rigWith(from, to);
      expect((await rig.run()).source.state).toEqual({ status: "completed" });
      rig.expectMoved();
      expect([await from.read(machine), await to.read(machine)]).toEqual([
        at("released", epoch - 1),
        at("owned", epoch),
      ]);
    }
    expect(await c.read(machine)).toEqual(at("released", 6));
  });

  it("a cancel while the record is written takes the machine back", async () => {
    const disk = logOf(at("owned", 1));
    const here: OwnershipLog = {
      read: disk.read,
      write: async (record, previous) => {
        await disk.write(record, previous);
        if (record.state === "released") expect(rig.outgoing.cancel()).toBe(true);
      },
    };
    const there = logOf();
    const rig = rigWith(here, there);
    const { source, destination } = await rig.run();
    expect(source.state).toEqual({ status: "cancelled" });
    expect(destination.state).toEqual({ status: "cancelled" });
    rig.expectStayed();
    expect([await disk.read(machine), await there.read(machine)]).toEqual([at("owned", 3), at("refused", 2)]);
    expect(rig.clock.timers).toBe(0);
  });

  it("a record that somebody else changes meanwhile is not released", async () => {
    const here = logOf(at("owned", 1));
    const rig = rigWith(here, logOf());
    rig.outgoing.events.on("status", ({ status }) => {
      if (status === "verifying") void here.write(at("owned", 3), { ...at("owned", 1), offered: true });
    });
    const { source } = await rig.run();
    expect(source.state).toMatchObject({ status: "failed", error: { code: "OWNERSHIP_CONFLICT" } });
    rig.expectStayed();
    expect(await here.read(machine)).toEqual(at("owned", 3));
  });
});

/** One question and one answer, over memory. */
async function question(asking: Partial<ResolveOptions>, log: OwnershipLog, holds = true, swapped = false) {
  const clock = new ManualClock();
  const [here, there] = memoryPair();
  const byCall = <T>(channel: Channel, calls: boolean, rest: T) =>
    calls ? { ...rest, connect: async () => channel } : { ...rest, accept: async () => channel };
  const answering = answerOwnership(byCall(there, swapped, { clock, log, holds: () => holds }));
  answering.catch(() => {});
  const options = { machine, clock, copy: "kept" as const, log: logOf(at("released", 1)), ...asking };
  const resolution = await drive(resolveOwnership(byCall(here, !swapped, options) as ResolveOptions), clock, 1000);
  return { resolution, answered: await drive(answering, clock, 1000), record: await log.read(machine), clock };
}

describe("a question", () => {
  it.each([false, true])("is answered, whoever calls (the destination does: %s)", async (swapped) => {
    const log = logOf(at("released", 1));
    const { resolution, answered, record, clock } = await question({ log }, logOf(at("accepted", 2)), true, swapped);
    expect(resolution).toEqual({ outcome: "owned", record: at("owned", 3), error: undefined });
    expect(answered).toEqual({ machine, epoch: 2, answer: "never" });
    expect(record).toEqual(at("refused", 2));
    expect(await log.read(machine)).toEqual(at("owned", 3));
    expect(clock.timers).toBe(0);
  });

  it.each<[OwnershipRecord[], boolean, "kept" | "gone", string, string]>([
    [[at("owned", 2)], true, "kept", "taken", "taken"],
    [[at("owned", 2)], false, "kept", "lost", "lost"],
    [[at("released", 2)], false, "kept", "taken", "taken"],
    [[at("accepted", 7)], false, "kept", "taken", "taken"],
    [[at("refused", 2)], false, "kept", "never", "owned"],
    [[at("accepted", 2)], false, "gone", "never", "lost"],
    [[], false, "kept", "unknown", "in-doubt"],
    [[at("released", 1)], true, "kept", "unknown", "in-doubt"],
  ])(
    "to one with %j (holds: %s), where the copy is %s, hears %s: %s",
    async (records, holds, copy, answer, outcome) => {
      const log = logOf(at("released", 1));
      const { resolution, answered, record } = await question({ log, copy }, logOf(...records), holds);
      expect(answered.answer).toBe(answer);
      expect(resolution.outcome).toBe(outcome);
      expect(resolution.error?.code).toBe(answer === "unknown" ? "OWNERSHIP_UNKNOWN" : undefined);
      expect(await log.read(machine)).toEqual(outcome === "owned" ? at("owned", 3) : at("released", 1));
      if (records[0]?.state !== "accepted" || records[0].epoch !== 2) expect(record).toEqual(records[0]);
    },
  );

  it.each([[], [at("owned", 1)], [at("accepted", 1)], [at("refused", 1)]])(
    "is not asked without a doubt: %j",
    async (...records) => {
      const asking = resolveOwnership({
        machine,
        log: logOf(...records),
        clock: new ManualClock(),
        copy: "kept",
        connect: () => Promise.reject(new Error("nobody may be called")),
      });
      await expect(asking).rejects.toMatchObject({
        code: records.length === 0 ? "OWNERSHIP_RECORD" : "OWNERSHIP_CONFLICT",
      });
    },
  );

  it("that gets no answer, or none that can be used, leaves the doubt", async () => {
    const acts: [string, (peer: ScriptedPeer) => Promise<void>][] = [
      ["PEER_SILENT", async () => {}],
      [
        "PEER_SILENT",
        async (peer) => {
          peer.read();
          await peer.magic();
          for (;;) {
            await peer.say({ kind: "alive" });
            await turn();
          }
        },
      ],
      ["TRANSPORT_CLOSED", async (peer) => peer.die()],
      ["PEER_KIND", (peer) => peer.send(Uint8Array.of(0x48, 0x54, 0x54, 0x50))],
      [
        "PROTOCOL_ORDER",
        async (peer) => {
          await peer.magic();
          await peer.say({ kind: "ownership-answer", machine, epoch: 3, answer: "never" });
        },
      ],
      [
        "PROTOCOL_ORDER",
        async (peer) => {
          await peer.magic();
          await peer.say({ kind: "resumed", prepareMs: 0, commitMs: 0 });
        },
      ],
    ];
    for (const [code, act] of acts) {
      const clock = new ManualClock();
      const log = logOf(at("released", 1));
      const [here, there] = memoryPair();
      act(new ScriptedPeer(there)).catch(() => {});
      const connect = async () => here;
      const asking = resolveOwnership({ machine, log, clock, copy: "kept", connect, peerTimeoutMs: 1000 });
      const { outcome, error } = await drive(asking, clock, 100);
      expect([outcome, error?.code]).toEqual(["in-doubt", code]);
      expect(await log.read(machine)).toEqual(at("released", 1));
    }
  });

  it("is not answered where the refusal cannot be written", async () => {
    const disk = logOf(at("accepted", 2));
    const broken: OwnershipLog = { read: disk.read, write: () => Promise.reject(new Error("the disk is full")) };
    const clock = new ManualClock();
    const [here, there] = memoryPair();
    const answering = answerOwnership({ accept: async () => there, clock, log: broken, holds: () => true });
    answering.catch(() => {});
    const log = logOf(at("released", 1));
    const asking = resolveOwnership({ machine, log, clock, copy: "kept", connect: async () => here });
    expect((await drive(asking, clock, 1000)).outcome).toBe("in-doubt");
    await expect(answering).rejects.toMatchObject({ code: "OWNERSHIP_LOG", detail: "the disk is full" });
  });

  it("that is answered while the machine comes in keeps it from being taken, however late the word is", async () => {
    const { state, isRunning, record } = await hearWord({ epoch: 2, asked: true });
    expect(state).toMatchObject({ status: "failed", ownership: "none", error: { code: "OWNERSHIP_CONFLICT" } });
    expect([isRunning, record]).toEqual([false, at("refused", 2)]);
  });
});

describe("the word", () => {
  it("gives the machine in the epoch that was offered", async () => {
    const { state, isRunning, record } = await hearWord({ epoch: 2 });
    expect([state, isRunning, record]).toEqual([{ status: "completed" }, true, at("owned", 2)]);
  });

  it.each([1, 3, undefined])("in another one is none: %s", async (epoch) => {
    const { state, isRunning, record } = await hearWord({ epoch });
    expect(state).toMatchObject({ status: "failed", ownership: "none", error: { code: "PROTOCOL_ORDER" } });
    expect([isRunning, record]).toEqual([false, at("refused", 2)]);
  });
});

/** A destination that is offered a machine in epoch 2, gets all of it, and hears `released` in the epoch given. */
async function hearWord({ epoch, asked = false }: { readonly epoch: number | undefined; readonly asked?: boolean }) {
  const clock = new ManualClock();
  const log = logOf();
  const [here, there] = memoryPair();
  const { source, destination } = new Rig({ source: { pages: 1 } });
  const peer = new ScriptedPeer(here);
  peer.read();
  const incoming = incomingMigration({ machine: destination, clock, accept: async () => there, ownership: { log } });
  const running = incoming.run();
  await peer.magic();
  await peer.say({
    kind: "offer",
    manifest: source.manifest(),
    ownership: { machine, epoch: 2 },
    modes: {},
    session: "0".repeat(16),
    digest: "xxh64-frames",
    heartbeatMs: 7500,
  });
  await drive(peer.hear("accepted"), clock);
  expect(await log.read(machine)).toEqual(at("accepted", 2));
  if (asked) expect((await question({}, log)).resolution.outcome).toBe("owned");
  // What was sent long ago arrives now: the whole stream, and the word.
  const attempt = source.outgoing();
  source.pause();
  for (const chunk of attempt.setup()) await peer.sendStream(chunk.slice());
  for (const chunk of attempt.complete()) await peer.sendStream(chunk.slice());
  await peer.say({ kind: "stream-end", sums: peer.sums() });
  await drive(peer.hear("prepared"), clock);
  await peer.say({ kind: "released", ...(epoch === undefined ? {} : { epoch }) });
  const { state } = await drive(running, clock);
  return { state, isRunning: destination.isRunning, record: await log.read(machine) };
}
