// What becomes of both machines when somebody cancels, dies, fails or lies, in every state: never two that run, and one
// wherever that can be known.
import {
  createOwnership,
  type DestinationState,
  memoryOwnershipLog,
  type OwnershipLog,
  type OwnershipRecord,
  type SourceState,
} from "@godwit/migration";
import { type Channel, memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { turn } from "./support/clock.ts";
import type { Step } from "./support/machine.ts";
import { Rig, type RigOptions, type Wire } from "./support/rig.ts";

const wires: readonly Wire[] = ["memory", "tcp"];

/** A quiesce that takes its time, so that something can happen meanwhile. */
const slowQuiesce = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await turn();
};

function rigOf(wire: Wire, options: RigOptions = {}): Rig {
  return new Rig({
    wire,
    ...options,
    source: { pages: 128, dirtyPagesPerTick: 5, quiesce: slowQuiesce, ...options.source },
  });
}

/** Calls once, when the source gets into the state; in `active`, in the second round. */
function atSource(rig: Rig, status: SourceState["status"], act: () => void): void {
  let isDone = false;
  rig.outgoing.events.on("status", (state) => {
    if (isDone || state.status !== status || (state.status === "active" && state.round < 2)) return;
    isDone = true;
    act();
  });
}

function atDestination(rig: Rig, status: DestinationState["status"], act: () => void): void {
  rig.incoming.events.on("status", (state) => {
    if (state.status === status) act();
  });
}

const dead = new Error("the process is gone");

const beforeRelease = ["connecting", "preamble", "setup", "active", "quiescing", "device", "verifying"] as const;
const connectedBeforeRelease = beforeRelease.slice(1);

describe.each(wires)("cancel at the source, over %s", (wire) => {
  it.each(beforeRelease)("while %s leaves the machine as if nothing had been", async (status) => {
    const rig = rigOf(wire);
    let answer: boolean | undefined;
    atSource(rig, status, () => {
      answer = rig.outgoing.cancel();
    });
    if (status === "connecting") atSource(rig, "cancelled", () => rig.incoming.cancel());
    const { source, destination } = await rig.run();
    expect(answer).toBe(true);
    expect(rig.outgoing.cancel()).toBe(false);
    expect(source.state).toEqual({ status: "cancelled" });
    expect(destination.state).toEqual({ status: "cancelled" });
    rig.expectStayed();
    expect(rig.clock.timers).toBe(0);
  });

  it.each(["released", "completed"] as const)("while %s is refused, and the machine moves", async (status) => {
    const rig = rigOf(wire);
    let answer: boolean | undefined;
    atSource(rig, status, () => {
      answer = rig.outgoing.cancel();
    });
    const { source } = await rig.run();
    expect(answer).toBe(false);
    expect(source.state).toEqual({ status: "completed" });
    rig.expectMoved();
  });
});

describe("a cancel in the moment that a step begins", () => {
  it("keeps it from beginning: nothing is held back", async () => {
    const rig = new Rig();
    atSource(rig, "quiescing", () => rig.outgoing.cancel());
    const { source } = await rig.run();
    expect(source.state).toEqual({ status: "cancelled" });
    expect(rig.source.log).not.toContain("quiesce");
    expect(rig.source.log).not.toContain("pause");
    rig.expectStayed();
  });

  it("keeps a destination from saying that it is prepared", async () => {
    const rig = new Rig();
    const statuses: string[] = [];
    rig.outgoing.events.on("status", ({ status }) => statuses.push(status));
    atDestination(rig, "prepared", () => rig.incoming.cancel());
    const { source, destination } = await rig.run();
    expect([source.state.status, destination.state.status]).toEqual(["failed", "cancelled"]);
    expect(statuses).toContain("verifying");
    expect(statuses).not.toContain("releasing");
    rig.expectStayed();
  });

  it("burns no epoch, and writes nothing that has to be taken back", async () => {
    for (const status of ["connecting", "releasing"] as const) {
      const machine = "00112233445566778899aabbccddeeff";
      const log = memoryOwnershipLog();
      await createOwnership(log, machine);
      const written: OwnershipRecord[] = [];
      const watched: OwnershipLog = {
        read: (id) => log.read(id),
        write(record, previous) {
          written.push(record);
          return log.write(record, previous);
        },
      };
      const rig = new Rig({
        outgoing: { ownership: { machine, log: watched } },
        incoming: { ownership: { log: memoryOwnershipLog() } },
      });
      atSource(rig, status, () => rig.outgoing.cancel());
      if (status === "connecting") atSource(rig, "cancelled", () => rig.incoming.cancel());
      const { source } = await rig.run();
      expect(source.state).toEqual({ status: "cancelled" });
      expect(written.filter(({ state }) => state === "released")).toEqual([]);
      if (status === "connecting") expect(written).toEqual([]);
    }
  });
});

describe("a quiesce that never ends", () => {
  const never = (): Promise<void> => new Promise(() => {});

  it("does not keep a cancel waiting", async () => {
    const rig = new Rig({ source: { quiesce: never } });
    atSource(rig, "quiescing", () => void turn().then(() => rig.outgoing.cancel()));
    const { source } = await rig.run();
    expect(source.state).toEqual({ status: "cancelled" });
    rig.expectStayed();
  });

  it("does not hide a destination that dies", async () => {
    const rig = new Rig({ source: { quiesce: never } });
    atSource(rig, "quiescing", () => void turn().then(() => rig.destinationChannel?.abort(dead)));
    const { source } = await rig.run();
    expect(source.state).toMatchObject({ status: "failed", error: { code: "TRANSPORT_CLOSED" } });
    rig.expectStayed();
  });

  it("but is only slow is not taken for a silent source", async () => {
    const rig: Rig = new Rig({
      source: {
        quiesce: async () => {
          for (let i = 0; i < 500; i++) {
            rig.clock.advance(10);
            await turn();
          }
        },
      },
      outgoing: { peerTimeoutMs: 1000 },
      incoming: { peerTimeoutMs: 1000 },
    });
    const { source } = await rig.run();
    expect(source.state).toEqual({ status: "completed" });
    rig.expectMoved();
  });
});

describe("cancel before the start", () => {
  it("of a destination that waits breaks the connection that comes too late", async () => {
    const [here, there] = memoryPair();
    let arrive: () => void = () => {};
    let isAsked = false;
    const rig = new Rig({
      incoming: {
        accept: () => {
          isAsked = true;
          return new Promise<Channel>((resolve) => {
            arrive = () => resolve(here);
          });
        },
      },
    });
    const run = rig.incoming.run();
    while (!isAsked) await turn();
    rig.incoming.cancel();
    expect((await run).state).toEqual({ status: "cancelled" });
    arrive();
    await expect(there.receive()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "TRANSPORT_CLOSED" });
  });

  it("keeps the source from connecting", async () => {
    const rig = new Rig();
    expect(rig.outgoing.cancel()).toBe(true);
    expect(rig.incoming.cancel()).toBe(true);
    const { source, destination } = await rig.run();
    expect([source.state.status, destination.state.status]).toEqual(["cancelled", "cancelled"]);
    expect(rig.sourceChannel).toBeUndefined();
    expect(rig.source.log).toEqual([]);
    expect(rig.source.isRunning).toBe(true);
  });
});

describe.each(wires)("cancel at the destination, over %s", (wire) => {
  it.each(["preamble", "active", "checking", "prepared"] as const)(
    "while %s sends the machine back",
    async (status) => {
      const rig = rigOf(wire, { destination: { prepare: slowQuiesce } });
      let answer: boolean | undefined;
      atDestination(rig, status, () => {
        answer = rig.incoming.cancel();
      });
      const { source, destination } = await rig.run();
      expect(answer).toBe(true);
      expect(destination.state).toEqual({ status: "cancelled" });
      // A peer that has not shown yet that it is Godwit is told nothing, and sees the connection close.
      const code =
        status === "preamble" ? expect.stringMatching("MIGRATION_CANCELLED|PEER_CLOSED") : "MIGRATION_CANCELLED";
      expect(source.state).toMatchObject({ status: "failed", error: { code } });
      rig.expectStayed();
    },
  );

  it.each(["committing", "completed"] as const)("while %s is refused", async (status) => {
    const rig = rigOf(wire);
    let answer: boolean | undefined;
    atDestination(rig, status, () => {
      answer = rig.incoming.cancel();
    });
    await rig.run();
    expect(answer).toBe(false);
    rig.expectMoved();
  });
});

describe.each(wires)("a destination that dies, over %s", (wire) => {
  it.each(connectedBeforeRelease)("while the source is %s leaves the machine at the source", async (status) => {
    const rig = rigOf(wire);
    atSource(rig, status, () => {
      if (rig.destinationChannel !== undefined) rig.destinationChannel.abort(dead);
      else rig.sourceChannel?.abort(dead);
    });
    const { source, destination } = await rig.run();
    expect(source.state.status).toBe("failed");
    expect(destination.state.status).toBe("failed");
    rig.expectStayed();
  });

  it("while the source is released leaves it in doubt, with a machine that stands still", async () => {
    const rig = rigOf(wire);
    atSource(rig, "released", () => rig.destinationChannel?.abort(dead));
    const { source, destination } = await rig.run();
    expect(source.state).toMatchObject({ status: "in-doubt", destination: "unknown" });
    expect(rig.source.isRunning).toBe(false);
    expect(destination.state).toMatchObject({ status: "failed", ownership: "none" });
    expect(rig.source.log.at(-1)).toBe("attempt-end");
    expect(rig.source.dirty.size).toBe(rig.source.pages);
  });

  it.each(["preamble", "active", "checking", "prepared"] as const)("itself %s is no owner yet", async (status) => {
    const rig = rigOf(wire);
    atDestination(rig, status, () => rig.destinationChannel?.abort(dead));
    const { source, destination } = await rig.run();
    expect(destination.state).toMatchObject({ status: "failed", ownership: "none" });
    expect(source.state.status).toBe("failed");
    rig.expectStayed();
  });

  it.each(["committing", "completed"] as const)("itself %s leaves the source in doubt", async (status) => {
    const rig = rigOf(wire);
    atDestination(rig, status, () => rig.destinationChannel?.abort(dead));
    const { source, destination } = await rig.run();
    // Here only the connection died: the process lives, owns the machine, runs it, and knows that it told nobody.
    expect(destination.state).toEqual({ status: "completed" });
    expect(destination.sourceTold).toBe(false);
    expect(rig.destination.isRunning).toBe(true);
    expect(source.state).toMatchObject({ status: "in-doubt", destination: "unknown" });
    expect(rig.source.isRunning).toBe(false);
  });
});

describe.each(wires)("a source that dies, over %s", (wire) => {
  it.each(["preamble", "active", "checking", "prepared"] as const)(
    "while the destination is %s leaves that one as it was",
    async (status) => {
      const rig = rigOf(wire, { destination: { prepare: slowQuiesce } });
      atDestination(rig, status, () => (rig.sourceChannel ?? rig.destinationChannel)?.abort(dead));
      const { destination } = await rig.run();
      expect(destination.state).toMatchObject({ status: "failed", ownership: "none" });
      expect(rig.destination.isRunning).toBe(false);
      expect(rig.destination.log).not.toContain("commit");
      expect(rig.destination.memory.every((byte) => byte === 0)).toBe(true);
    },
  );

  it.each(["committing", "completed"] as const)("while the destination is %s does not stop it", async (status) => {
    const rig = rigOf(wire, { destination: { commit: slowQuiesce } });
    atDestination(rig, status, () => rig.sourceChannel?.abort(dead));
    const { destination } = await rig.run();
    expect(destination.state).toEqual({ status: "completed" });
    rig.expectMoved();
  });
});

describe("a step of the source's machine that throws", () => {
  const steps: readonly (readonly [Step, number])[] = [
    ["manifest", 1],
    ["outgoing", 1],
    ["setup", 1],
    ["manifest", 2],
    ["iterate", 1],
    ["iterate", 3],
    ["quiesce", 1],
    ["pause", 1],
    ["complete", 1],
  ];
  it.each(steps)("at %s, the %d. time, fails the migration and nothing else", async (step, time) => {
    const rig = rigOf("memory", { source: { failAt: { step, time } } });
    atSource(rig, "failed", () => rig.incoming.cancel());
    const { source } = await rig.run();
    expect(source.state).toMatchObject({
      status: "failed",
      error: { code: "MACHINE_FAILED", location: { side: "source" } },
    });
    expect(rig.source.isRunning).toBe(true);
    expect(rig.source.isHeld).toBe(false);
    expect(rig.destination.isRunning).toBe(false);
    expect(rig.destination.log).not.toContain("commit");
  });

  it("when it is resumed again says so, since nobody runs the machine then", async () => {
    const rig = rigOf("memory", { source: { failAt: { step: "resume" } }, destination: { failAt: { step: "end" } } });
    const { source } = await rig.run();
    expect(source.state).toMatchObject({ status: "failed", error: { code: "MACHINE_FAILED" } });
    expect(source.state.status === "failed" && source.state.error.message).toContain("could not be resumed");
    expect(source.statistics).not.toHaveProperty("downtime");
  });

  it("when it cleans up does not change the outcome, and is told", async () => {
    const moved = rigOf("memory", { source: { failAt: { step: "attempt-end" } } });
    const { source } = await moved.run();
    expect(source.state).toEqual({ status: "completed" });
    expect(source.cleanupError).toMatchObject({ code: "MACHINE_FAILED" });
    moved.expectMoved();

    const stayed = rigOf("memory", {
      source: { failAt: { step: "attempt-end" } },
      destination: { failAt: { step: "end" } },
    });
    const second = await stayed.run();
    expect(second.source.state.status).toBe("failed");
    expect(second.source.cleanupError).toMatchObject({ code: "MACHINE_FAILED" });
    expect(stayed.source.isRunning).toBe(true);
  });
});

describe("a step of the destination's machine that throws", () => {
  it.each<Step>(["manifest", "incoming", "push", "end", "prepare"])("at %s leaves the source running", async (step) => {
    const rig = rigOf("memory", { destination: { failAt: { step } } });
    const { source, destination } = await rig.run();
    expect(destination.state).toMatchObject({
      status: "failed",
      ownership: "none",
      error: { code: "MACHINE_FAILED", location: { side: "destination" } },
    });
    expect(source.state).toMatchObject({
      status: "failed",
      error: { code: "MACHINE_FAILED", detail: `${step} failed`, location: { side: "destination" } },
    });
    rig.expectStayed();
  });

  it("at commit, when it was released but is not owned yet, gives it back", async () => {
    const rig = rigOf("memory", { destination: { failAt: { step: "commit" } } });
    const { source, destination } = await rig.run();
    const error = { code: "MACHINE_FAILED", detail: "commit failed", location: { side: "destination" } };
    expect(destination.state).toMatchObject({ status: "failed", ownership: "none", error });
    expect(source.state).toMatchObject({ status: "failed", error });
    rig.expectStayed();
  });

  it("at resume, when it is the owner, leaves both standing still", async () => {
    const rig = rigOf("memory", { destination: { failAt: { step: "resume" } } });
    const { source, destination } = await rig.run();
    expect(destination.state).toMatchObject({ status: "failed", ownership: "taken" });
    expect(source.state).toMatchObject({
      status: "in-doubt",
      destination: "reported-failure",
      error: { code: "MACHINE_FAILED", detail: "resume failed" },
    });
    expect(rig.source.isRunning).toBe(false);
    expect(rig.destination.isRunning).toBe(false);
  });

  it("at resume, when the machine runs all the same, is stopped before it is reported", async () => {
    const rig = rigOf("memory");
    const { resume } = rig.destination;
    rig.destination.resume = () => {
      resume.call(rig.destination);
      throw new Error("a device did not like it");
    };
    const { source, destination } = await rig.run();
    expect(rig.destination.isRunning).toBe(false);
    expect(destination.state).toMatchObject({ status: "failed", ownership: "taken" });
    expect(source.state).toMatchObject({ status: "in-doubt", destination: "reported-failure" });
  });

  it("carries what it knows of the place over the wire", async () => {
    const { MigrationError } = await import("@godwit/core");
    const error = new MigrationError("FIELD_CHECK", "too large", {
      section: "0000:00:02.0/virtio-blk/0",
      version: 3,
      path: "vqs[1].last_avail_idx",
      offset: 12345,
      expected: "at most 128",
      found: "129",
    });
    const rig = rigOf("memory", { destination: { failAt: { step: "push", time: 2, error } } });
    const { source } = await rig.run();
    expect(source.state.status).toBe("failed");
    if (source.state.status === "failed") {
      expect(source.state.error.toJSON()).toEqual({ ...error.toJSON(), side: "destination" });
    }
  });
});
