// Peers that are silent, stuck, foreign, confused or dishonest: each ends in its own error, with the machine where it was.

import { incomingMigration, type OutgoingOptions, outgoingMigration } from "@godwit/migration";
import { type Channel, memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import type { ChannelSum } from "../src/godwit/stream-sum.ts";
import type { PeerKind } from "../src/options.ts";
import { drive, ManualClock, turn } from "./support/clock.ts";
import { TestMachine } from "./support/machine.ts";
import { ScriptedPeer } from "./support/peer.ts";

const peerTimeoutMs = 1000;

function sourceRig(options: Partial<OutgoingOptions> = {}) {
  const clock = new ManualClock();
  const machine = new TestMachine({ pages: 32, dirtyPagesPerTick: 1 });
  machine.fill(3);
  const [here, there] = memoryPair({ bufferBytes: 64 * 1024 });
  const migration = outgoingMigration({
    machine,
    clock,
    connect: async () => here,
    yieldToHost: async () => {
      clock.advance(1);
      machine.tick();
      await turn();
    },
    sliceBytes: 32 * 1024,
    parameters: { "downtime-limit": 5 },
    peerTimeoutMs,
    ...options,
  });
  const statuses: string[] = [];
  migration.events.on("status", (state) => statuses.push(state.status));
  return { clock, machine, migration, peer: new ScriptedPeer(there), there, statuses };
}

/** The state that a source ends in, facing a peer that does this. */
async function sourceFacing(act: (peer: ScriptedPeer) => Promise<void>, options: Partial<OutgoingOptions> = {}) {
  const rig = sourceRig(options);
  const script = act(rig.peer);
  script.catch(() => {});
  const report = await drive(rig.migration.run(), rig.clock, 50);
  return { ...rig, report };
}

function destinationRig(peers?: readonly PeerKind[], onTimer?: (delayMs: number) => void) {
  const clock = new ManualClock();
  const after = clock.after.bind(clock);
  clock.after = (delayMs, callback) => {
    onTimer?.(delayMs);
    return after(delayMs, callback);
  };
  const machine = new TestMachine({ pages: 4, running: false });
  const [here, there] = memoryPair({ bufferBytes: 64 * 1024 });
  const migration = incomingMigration({
    machine,
    clock,
    accept: async () => here,
    peerTimeoutMs,
    ...(peers && { peers }),
  });
  return { clock, machine, migration, peer: new ScriptedPeer(there) };
}

async function destinationFacing(
  act: (peer: ScriptedPeer, machine: TestMachine) => Promise<void>,
  peers?: readonly PeerKind[],
  onTimer?: (delayMs: number) => void,
) {
  const rig = destinationRig(peers, onTimer);
  const script = act(rig.peer, rig.machine);
  script.catch(() => {});
  const report = await drive(rig.migration.run(), rig.clock, 50);
  expect(rig.machine.isRunning).toBe(false);
  expect(rig.machine.log).not.toContain("commit");
  return { ...rig, report };
}

const failedWith = (code: string) => ({ status: "failed", error: { code } });

describe("a silent destination", () => {
  it("that never answers the connection", async () => {
    const late: { channel?: Channel } = {};
    let connect: (channel: Channel) => void = () => {};
    const connecting = new Promise<Channel>((resolve) => {
      connect = resolve;
    });
    const { report, machine, clock } = await sourceFacing(async () => {}, { connect: () => connecting });
    expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
    expect(machine.isRunning).toBe(true);
    expect(clock.timers).toBe(0);
    const [here, there] = memoryPair();
    late.channel = there;
    connect(here);
    await expect(there.receive()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("that connects and says nothing, which may be a QEMU", async () => {
    const { report, machine } = await sourceFacing(async (peer) => peer.read());
    expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
    expect(report.state.status === "failed" && report.state.error.message).toContain("peer=qemu");
    expect(machine.log).not.toContain("outgoing");
  });

  it("that neither reads nor speaks", async () => {
    const { report, machine } = await sourceFacing(async () => {});
    expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
    expect(machine.isRunning).toBe(true);
  });

  it("that consents and then stops reading, although it goes on speaking", async () => {
    const rig = sourceRig();
    const script = async (): Promise<void> => {
      const reader = rig.there.receive()[Symbol.asyncIterator]();
      await reader.next();
      await rig.peer.magic();
      await rig.peer.say({ kind: "accepted", heartbeatMs: 250, warnings: [] });
      for (;;) {
        await rig.peer.say({ kind: "alive" });
        await turn();
      }
    };
    script().catch(() => {});
    const report = await drive(rig.migration.run(), rig.clock, 50);
    expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
    expect(report.state.status === "failed" && report.state.error.message).toContain("has taken nothing");
    expect(rig.machine.isRunning).toBe(true);
  });

  it("that reads everything and acknowledges nothing", async () => {
    const { report, statuses, machine } = await sourceFacing((peer) => peer.accept());
    expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
    expect(statuses.at(-2)).toBe("active");
    expect(machine.isRunning).toBe(true);
  });

  it("that is alive but never consents, or gets no further", async () => {
    for (const words of ["none", "all"] as const) {
      const { report, machine } = await sourceFacing(async (peer) => {
        if (words === "all") await peer.accept();
        else await peer.magic();
        for (;;) {
          await peer.say({ kind: "alive" });
          await turn();
        }
      });
      expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
      expect(report.state.status === "failed" && report.state.error.message).toContain(
        words === "all" ? "decoded nothing" : 'not said "accepted" or "refused"',
      );
      expect(machine.isRunning).toBe(true);
    }
  });

  it("that is alive but never prepared: the switch-over has its own limit", async () => {
    const { report, statuses, machine } = await sourceFacing(
      async (peer) => {
        await peer.accept();
        await peer.receiveAll();
        for (;;) {
          await peer.say({ kind: "alive" });
          await turn();
        }
      },
      { switchoverTimeoutMs: 3000 },
    );
    expect(report.state).toMatchObject(failedWith("SWITCHOVER_TIMEOUT"));
    expect(statuses.at(-2)).toBe("verifying");
    expect(machine.isRunning).toBe(true);
    const { downtime } = report.statistics as { downtime?: number };
    expect(downtime).toBeGreaterThanOrEqual(3000);
    expect(downtime).toBeLessThanOrEqual(3050);
  });

  it("that took the machine and never says so leaves it in doubt", async () => {
    const { report, machine } = await sourceFacing(async (peer) => {
      await peer.accept();
      await peer.say({ kind: "prepared", sums: await peer.receiveAll() });
    });
    expect(report.state).toMatchObject({ status: "in-doubt", destination: "unknown", error: { code: "PEER_SILENT" } });
    expect(machine.isRunning).toBe(false);
    expect(report.statistics).not.toHaveProperty("downtime");
  });
});

describe("a destination that breaks the protocol", () => {
  const cases: Record<string, [code: string, act: (peer: ScriptedPeer) => Promise<void>]> = {
    "answers in another language": ["PEER_KIND", (peer) => peer.send(Uint8Array.of(0x48, 0x54, 0x54, 0x50))],
    "answers with QEMU's magic": ["PEER_KIND", (peer) => peer.send(Uint8Array.of(0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3))],
    "speaks another version": [
      "PROTOCOL_VERSION",
      (peer) => peer.send(Uint8Array.of(0x47, 0x44, 0x57, 0x54, 0, 0, 0, 3)),
    ],
    "closes instead of an answer": ["PEER_CLOSED", async (peer) => peer.die()],
    "sends a frame of type 0": [
      "PROTOCOL_FRAME",
      async (peer) => {
        await peer.magic();
        await peer.sendFrame(0, new Uint8Array(5));
      },
    ],
    "sends a stream": [
      "PROTOCOL_FRAME",
      async (peer) => {
        await peer.magic();
        await peer.sendStream(new Uint8Array(5));
      },
    ],
    "sends a message that is none": [
      "PROTOCOL_MESSAGE",
      async (peer) => {
        await peer.magic();
        await peer.sendFrame(1, Uint8Array.of(0xc1));
      },
    ],
    "is prepared before it has consented": [
      "PROTOCOL_ORDER",
      async (peer) => {
        await peer.magic();
        await peer.say({ kind: "prepared", sums: [] });
      },
    ],
    "says more than it is asked": [
      "PROTOCOL_ORDER",
      async (peer) => {
        await peer.accept();
        for (let i = 0; i < 5; i++) await peer.say({ kind: "resumed", prepareMs: 0, commitMs: 0 });
      },
    ],
    "received what was never sent": [
      "PROTOCOL_ORDER",
      async (peer) => {
        await peer.accept();
        await peer.say({ kind: "received", bytes: 1e9 });
      },
    ],
    "received less than before": [
      "PROTOCOL_ORDER",
      async (peer) => {
        await peer.accept();
        await peer.hear("round");
        await peer.say({ kind: "received", bytes: peer.streamBytes - 1 });
        await peer.say({ kind: "received", bytes: peer.streamBytes - 2 });
      },
    ],
    "has another digest": [
      "DIGEST_MISMATCH",
      async (peer) => {
        await peer.accept();
        const sums = await peer.receiveAll();
        await peer.say({ kind: "prepared", sums: sums.map((sum) => ({ ...sum, digest: "0123456789abcdef" })) });
      },
    ],
    "has another count": [
      "DIGEST_MISMATCH",
      async (peer) => {
        await peer.accept();
        const sums = await peer.receiveAll();
        await peer.say({ kind: "prepared", sums: sums.map((sum) => ({ ...sum, bytes: sum.bytes - 1 })) });
      },
    ],
    "refuses, and does not say why": [
      "PREAMBLE_MISFIT",
      async (peer) => {
        peer.read();
        await peer.hear("offer");
        await peer.magic();
        await peer.say({ kind: "refused", misfits: [] });
      },
    ],
    "claims to run the machine at once": [
      "PROTOCOL_ORDER",
      async (peer) => {
        await peer.accept();
        await peer.receiveAll();
        await peer.say({ kind: "resumed", prepareMs: 1, commitMs: 1 });
      },
    ],
  };
  it.each(Object.entries(cases))("%s", async (_, [code, act]) => {
    const { report, machine } = await sourceFacing(act);
    expect(report.state).toMatchObject({ status: "failed" });
    const found = report.state.status === "failed" ? report.state.error.code : "";
    if (code === "PEER_CLOSED") expect(["PEER_CLOSED", "TRANSPORT_CLOSED"]).toContain(found);
    else expect(found).toBe(code);
    expect(machine.isRunning).toBe(true);
    expect(machine.log.filter((step) => step === "outgoing").length).toBe(
      machine.log.filter((step) => step === "attempt-end").length,
    );
  });

  it("hears from the source why it gave up", async () => {
    const { peer } = await sourceFacing(async (scripted) => {
      await scripted.accept();
      await scripted.say({ kind: "prepared", sums: [] });
    });
    expect(await peer.hear("failed")).toMatchObject({ error: { code: expect.stringMatching("DIGEST_MISMATCH|PEER") } });
    expect(peer.isClosed).toBe(true);
  });
});

describe("a source", () => {
  const manifest = new TestMachine({ pages: 4 }).manifest();
  const offer = {
    kind: "offer",
    manifest,
    session: "0123456789abcdef",
    modes: {},
    digest: "xxh64-frames",
    heartbeatMs: 250,
  } as const;

  async function offered(peer: ScriptedPeer): Promise<void> {
    peer.read();
    await peer.magic();
    await peer.say(offer);
    await peer.hear("accepted");
  }

  it("that connects and says nothing", async () => {
    const { report, peer } = await destinationFacing(async (scripted) => scripted.read());
    expect(report.state).toMatchObject({ ...failedWith("PEER_SILENT"), ownership: "none" });
    // It has not shown that it is Godwit, so it is told nothing, either.
    expect(peer.raw).toEqual([]);
    expect(peer.isClosed).toBe(true);
  });

  it("that is a QEMU is refused at its first four bytes, and hears nothing", async () => {
    const { report, peer } = await destinationFacing(
      async (scripted) => {
        scripted.read();
        await scripted.send(Uint8Array.of(0x51, 0x45, 0x56, 0x4d));
      },
      ["godwit"],
    );
    expect(report.state).toMatchObject(failedWith("PEER_KIND"));
    expect(report.state.status === "failed" && report.state.error.message).toContain("peer=qemu");
    expect(peer.raw).toEqual([]);
  });

  it("of another version is told which one is spoken here", async () => {
    const { report, peer } = await destinationFacing(async (scripted) => {
      scripted.read();
      await scripted.send(Uint8Array.of(0x47, 0x44, 0x57, 0x54, 0, 0, 0, 9));
    });
    expect(report.state).toMatchObject({
      status: "failed",
      error: { code: "PROTOCOL_VERSION", expected: "2", found: "9" },
    });
    expect(Array.from(peer.raw[0] ?? [])).toEqual([0x47, 0x44, 0x57, 0x54, 0, 0, 0, 2]);
  });

  it("that asks for what this side has never heard of is refused, whatever the name", async () => {
    const { report, peer } = await destinationFacing(async (scripted) => {
      scripted.read();
      await scripted.magic();
      await scripted.say({ ...offer, modes: { toString: "on", "later-capability": "2 of them" } });
    });
    expect(report.state).toMatchObject(failedWith("PREAMBLE_MISFIT"));
    expect(await peer.hear("refused")).toEqual({
      kind: "refused",
      misfits: [
        ["toString", "on"],
        ["later-capability", "2 of them"],
      ].map(([name, found]) => ({
        code: "CAPABILITY_MISMATCH",
        subject: `capability ${name}`,
        refuses: true,
        expected: "off",
        found,
      })),
    });
  });

  it("whose misfits no message could hold is refused with those that one does hold, and their number", async () => {
    const count = 60_000;
    const ramBlocks = Array.from({ length: count }, (_, i) => ({ idstr: `block-${i}`, bytes: 4096 }));
    const { report, peer } = await destinationFacing(async (scripted) => {
      scripted.read();
      await scripted.magic();
      await scripted.say({ ...offer, manifest: { ...manifest, ramBlocks: [...manifest.ramBlocks, ...ramBlocks] } });
    });
    expect(report.state).toMatchObject(failedWith("PREAMBLE_MISFIT"));
    expect(report.misfits).toHaveLength(count);
    const { misfits } = await peer.hear("refused");
    const told = misfits.length - 1;
    expect(told).toBeGreaterThan(count / 3);
    expect(misfits.slice(0, told)).toEqual(report.misfits.slice(0, told));
    expect(misfits[told]).toEqual({
      code: "RAM_BLOCK_UNKNOWN",
      subject: "others",
      refuses: true,
      expected: "",
      found: `${count - told} more`,
    });
  });

  it.each([0, 1e300])("that wants to hear of this side every %d ms is told so within reason", async (heartbeatMs) => {
    const delays: number[] = [];
    const { report } = await destinationFacing(
      async (scripted) => {
        scripted.read();
        await scripted.magic();
        await scripted.say({ ...offer, heartbeatMs });
      },
      undefined,
      (delayMs) => delays.push(delayMs),
    );
    expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
    // A timer of a runtime holds 31 bits; what is longer fires at once, and again, and again.
    expect(Math.max(...delays)).toBeLessThan(2 ** 31);
    expect(delays.length).toBeLessThan(500);
  });

  it("that falls silent after the consent", async () => {
    const { report, peer } = await destinationFacing(offered);
    expect(report.state).toMatchObject(failedWith("PEER_SILENT"));
    expect(await peer.hear("failed")).toMatchObject({ error: { code: "PEER_SILENT", side: "destination" } });
  });

  it("that says it is alive in time is waited for", async () => {
    const rig = destinationRig();
    const run = rig.migration.run();
    await drive(offered(rig.peer), rig.clock);
    for (let i = 0; i < 10; i++) {
      for (let ms = 0; ms < peerTimeoutMs - 50; ms += 50) {
        rig.clock.advance(50);
        await turn();
      }
      await rig.peer.say({ kind: "alive" });
      await turn();
    }
    expect(rig.migration.state).toEqual({ status: "active" });
    // And it is told, as often as it asked for, that the destination is.
    expect(rig.peer.heard.filter(({ kind }) => kind === "received").length).toBeGreaterThanOrEqual(30);
    rig.peer.die();
    expect((await drive(run, rig.clock, 50)).state.status).toBe("failed");
  });

  it("that says it is alive and nothing else is given up all the same, before the consent and before the release", async () => {
    for (const words of ["none", "all"] as const) {
      const { report } = await destinationFacing(async (scripted, machine) => {
        scripted.read();
        if (words === "none") await scripted.magic();
        else {
          await offered(scripted);
          await sendWhole(scripted, machine);
          await scripted.hear("prepared");
        }
        for (;;) {
          await scripted.say({ kind: "alive" });
          await turn();
        }
      });
      expect(report.state).toMatchObject({ ...failedWith("PEER_SILENT"), ownership: "none" });
    }
  });

  it("that never releases is given up, and told so", async () => {
    const { report, peer } = await destinationFacing(async (scripted, machine) => {
      await offered(scripted);
      await sendWhole(scripted, machine);
      await scripted.hear("prepared");
    });
    expect(report.state).toMatchObject({ ...failedWith("PEER_SILENT"), ownership: "none" });
    expect(await peer.hear("failed")).toBeDefined();
  });

  const confused: Record<string, [code: string, act: (peer: ScriptedPeer, machine: TestMachine) => Promise<void>]> = {
    "that streams before the consent": [
      "PROTOCOL_ORDER",
      async (peer) => {
        await peer.magic();
        await peer.sendStream(new Uint8Array(10));
      },
    ],
    "that streams after the end of the stream": [
      "PROTOCOL_ORDER",
      async (peer, machine) => {
        await offered(peer);
        await sendWhole(peer, machine);
        await peer.sendStream(new Uint8Array(10));
      },
    ],
    "that releases what is not prepared": [
      "PROTOCOL_ORDER",
      async (peer) => {
        await offered(peer);
        await peer.say({ kind: "released" });
      },
    ],
    "that counts other bytes than it sent": [
      "DIGEST_MISMATCH",
      async (peer, machine) => {
        await offered(peer);
        await sendWhole(peer, machine, (sums) => sums.map((sum) => ({ ...sum, bytes: sum.bytes + 1 })));
      },
    ],
    "that has another digest of what it sent": [
      "DIGEST_MISMATCH",
      async (peer, machine) => {
        await offered(peer);
        await sendWhole(peer, machine, (sums) => sums.map((sum) => ({ ...sum, digest: "0" })));
      },
    ],
    "that ends the stream too early": [
      "MACHINE_FAILED",
      async (peer) => {
        await offered(peer);
        await peer.sendStream(Uint8Array.of(1, 0, 0, 0, 4));
        await peer.say({ kind: "stream-end", sums: peer.sums() });
      },
    ],
  };
  it.each(Object.entries(confused))("%s", async (_, [code, act]) => {
    const { report } = await destinationFacing(act);
    expect(report.state).toMatchObject({ ...failedWith(code), ownership: "none" });
  });

  it("that proves to be honest is served", async () => {
    const rig = destinationRig();
    const run = rig.migration.run();
    const script = async (): Promise<void> => {
      await offered(rig.peer);
      const sums = await sendWhole(rig.peer, rig.machine);
      expect(await rig.peer.hear("prepared")).toEqual({ kind: "prepared", sums });
      await rig.peer.say({ kind: "released" });
      await rig.peer.hear("resumed");
    };
    const [report] = await drive(Promise.all([run, script()]), rig.clock);
    expect(report.state).toEqual({ status: "completed" });
    expect(rig.machine.isRunning).toBe(true);
  });
});

/** The whole stream of another machine, with the sum that is true, or what a test makes of it. */
async function sendWhole(
  peer: ScriptedPeer,
  like: TestMachine,
  tamper = (sums: readonly ChannelSum[]) => sums,
): Promise<readonly ChannelSum[]> {
  const machine = new TestMachine({ pages: like.pages, running: false });
  const attempt = machine.outgoing();
  for (const chunks of [attempt.setup(), attempt.complete()]) {
    for (const chunk of chunks) await peer.sendStream(chunk);
  }
  attempt.end(true);
  const sums = tamper(peer.sums());
  await peer.say({ kind: "stream-end", sums });
  return sums;
}
