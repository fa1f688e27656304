// How post-copy ends where its last words are lost, somebody gives up, or a connection beside the main one is not there.
import { u8, vmstate } from "@godwit/core";
import { answerOwnership, type OutgoingOptions, type OwnershipLog, type OwnershipRecord } from "@godwit/migration";
import { type Channel, memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { BufferedBytes } from "../src/buffered.ts";
import { loadDigests } from "../src/godwit/digest.ts";
import { FrameWriter, frameType } from "../src/godwit/framing.ts";
import { encodeMagic } from "../src/godwit/magic.ts";
import { DestinationPages } from "../src/postcopy/destination-pages.ts";
import { packaged, postcopyAdvise, postcopyListen, postcopyRun, type QemuCommand } from "../src/qemu/commands.ts";
import { ManualClock, turn } from "./support/clock.ts";
import { absent, everyThird, type Line, line, pageBytes, pages, Rig, writer } from "./support/postcopy-rig.ts";
import { ramMachine } from "./support/ram-machine.ts";

const machine = "00112233445566778899aabbccddeeff";

function memoryLog(first?: OwnershipRecord): OwnershipLog & { record: OwnershipRecord | undefined } {
  return {
    record: first,
    async read() {
      return this.record;
    },
    async write(record) {
      this.record = record;
    },
  };
}

/** With a record on each side; `ask`: the source asks what became of the machine. */
class OwnedRig extends Rig {
  readonly there: OwnershipLog;

  constructor(options: ConstructorParameters<typeof Rig>[0] = {}) {
    const here = memoryLog({ machine, epoch: 1, state: "owned" });
    const there = memoryLog();
    super({
      ...options,
      outgoing: { ...options.outgoing, ownership: { machine, log: here } },
      incoming: { ...options.incoming, ownership: { machine, log: there } },
    });
    this.there = there;
  }

  async ask() {
    const [asking, asked] = memoryPair({});
    const answering = answerOwnership({
      accept: async () => asked,
      clock: this.clock,
      log: this.there,
      holds: () => this.incoming.holds,
    });
    const [resolution] = await Promise.all([this.outgoing.resolve({ connect: async () => asking }), answering]);
    return resolution.outcome;
  }
}

async function paused(rig: Rig) {
  const guest = writer(rig, [...everyThird].reverse());
  const over = rig.start();
  const step = rig.guest as () => void;
  let isCut = false;
  rig.guest = () => {
    step();
    if (isCut || guest.left.length > everyThird.length - 8) return;
    isCut = true;
    rig.line.cut();
  };
  await rig.until("postcopy-paused");
  return { guest, over };
}

async function recover(rig: Rig, by: Line = line()): Promise<void> {
  rig.line = by;
  await rig.drive(
    Promise.all([rig.outgoing.recover(() => by.connect()), rig.incoming.recover(() => by.accept())]).then(() => {}),
    50,
  );
}

/** Breaks the line when the destination has everything, and before it has said so. */
async function wordless(): Promise<{ rig: OwnedRig; over: ReturnType<Rig["start"]> }> {
  const rig = new OwnedRig();
  rig.incoming.events.on("status", ({ status }) => {
    if (status === "completed") rig.line.cut();
  });
  const over = rig.start();
  for (let turns = 0; turns < 20_000 && rig.outgoing.state.status !== "postcopy-paused"; turns++) await turn();
  expect([rig.outgoing.state.status, rig.incoming.state.status]).toEqual(["postcopy-paused", "completed"]);
  return { rig, over };
}

/** Breaks the line when every page is there, and the stream's end is not. */
async function endless(): Promise<{ rig: OwnedRig; over: ReturnType<Rig["start"]> }> {
  let slices = 0;
  const outgoing: Partial<OutgoingOptions> = {
    async yieldToHost() {
      rig.clock.advance(1);
      rig.source.tick();
      if (++slices === 60) rig.outgoing.startPostcopy();
      for (let turns = 0; turns < 5; turns++) await turn();
      if (rig.target.isRunning && rig.target.ram.absent() === undefined) rig.line.cut();
    },
  };
  const rig: OwnedRig = new OwnedRig({ outgoing });
  const over = rig.start();
  await rig.until("postcopy-paused");
  expect(rig.target.ram.absent()).toBeUndefined();
  return { rig, over };
}

describe("when the destination has everything", () => {
  it("and its last word is lost, the next connection tells it", async () => {
    const { rig, over } = await wordless();
    let sent = 0;
    const again = line((bytes) => {
      sent += bytes.length;
    });
    await recover(rig, again);
    const [source, destination] = await rig.drive(over);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    expect(destination.sourceTold).toBe(false);
    expect(sent).toBeLessThan(1024);
    rig.expectMoved();
    expect(rig.statuses.source.slice(-4)).toEqual([
      "postcopy-paused",
      "postcopy-recover",
      "postcopy-active",
      "completed",
    ]);
    // Who has been told wants no other connection.
    await expect(rig.outgoing.recover(() => again.connect())).rejects.toMatchObject({ code: "PROTOCOL_ORDER" });
  });

  it("and nobody connects, it says so, and may be asked again", async () => {
    const { rig, over } = await wordless();
    await expect(rig.drive(rig.incoming.recover(line().accept), 1000)).rejects.toMatchObject({ code: "PEER_SILENT" });
    await recover(rig);
    const [source] = await rig.drive(over);
    expect(source.state.status).toBe("completed");
  });

  it("a source that gives up and asks hears that it was taken", async () => {
    const { rig, over } = await wordless();
    expect(rig.incoming.holds).toBe(true);
    expect(rig.outgoing.abandon()).toBe(true);
    const [source] = await rig.drive(over);
    expect(source.state.status).toBe("in-doubt");
    expect(await rig.drive(rig.ask())).toBe("taken");
    expect(rig.outgoing.state.status).toBe("completed");
    rig.expectMoved();
  });

  it("giving up the stream's end makes no machine lost", async () => {
    const { rig, over } = await endless();
    expect(rig.incoming.holds).toBe(true);
    expect([rig.outgoing.abandon(), rig.incoming.abandon()]).toEqual([true, true]);
    const [source, destination] = await rig.drive(over, 50);
    expect([source.state.status, destination.state.status]).toEqual(["in-doubt", "completed"]);
    rig.expectMoved();
    expect(rig.target.kernel.snapshot()).toBeDefined();
    expect(await rig.drive(rig.ask())).toBe("taken");
    expect(rig.outgoing.state.status).toBe("completed");
  });

  it("but not the stream's end, another connection brings that", async () => {
    const { rig, over } = await endless();
    await recover(rig);
    const [source, destination] = await rig.drive(over);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    expect(destination.sourceTold).toBe(true);
    rig.expectMoved();
  });
});

describe("when pages are missing", () => {
  it("nobody is told that the machine was taken: it is lost on both sides", async () => {
    const rig = new OwnedRig();
    expect(rig.incoming.holds).toBe(false);
    const { over } = await paused(rig);
    expect(rig.incoming.holds).toBe(false);
    expect(rig.outgoing.abandon()).toBe(true);
    for (let turns = 0; turns < 10; turns++) await turn();
    expect(rig.outgoing.state.status).toBe("in-doubt");
    // The destination still hopes: who asks has given up, and will not send what is missing.
    expect(await rig.drive(rig.ask())).toBe("lost");
    expect(rig.outgoing.state.status).toBe("lost");
    expect(rig.incoming.abandon()).toBe(true);
    const [, destination] = await rig.drive(over, 50);
    expect(destination.state.status).toBe("lost");
    expect(rig.incoming.holds).toBe(false);
    expect([rig.source.isRunning, rig.target.isRunning]).toEqual([false, false]);
  });

  it("a machine that cannot even be stopped is told as lost all the same", async () => {
    const rig = new Rig();
    const { over } = await paused(rig);
    const pause = rig.target.kernel.pause;
    rig.target.kernel.pause = () => {
      throw new Error("stuck");
    };
    expect([rig.outgoing.abandon(), rig.incoming.abandon()]).toEqual([true, true]);
    const [source, destination] = await rig.drive(over, 50);
    rig.target.kernel.pause = pause;
    expect([source.state.status, destination.state.status]).toEqual(["in-doubt", "lost"]);
    expect(destination.cleanupError?.message).toContain("stuck");
  });
});

describe("a destination that fails when the machine is given to it", () => {
  it("and has not loaded it says that it never will: the source's runs on", async () => {
    const rig = new OwnedRig();
    const { commit } = failing(rig, "commit");
    const [source, destination] = await rig.drive(rig.start(), 50);
    expect(commit).toEqual(["called"]);
    expect([source.state.status, destination.state.status]).toEqual(["failed", "failed"]);
    expect(destination.state).toMatchObject({ ownership: "none" });
    expect(rig.incoming.holds).toBe(false);
    expect([rig.source.isRunning, rig.target.isRunning]).toEqual([true, false]);
    expect(await rig.there.read(machine)).toMatchObject({ state: "refused" });
    expect(rig.target.ram.absent()).toBeUndefined();
  });

  it("and cannot run it is not asked for it in vain: it was taken, and pages of it were never there", async () => {
    const rig = new OwnedRig();
    const { resume } = failing(rig, "resume");
    const [source, destination] = await rig.drive(rig.start(), 50);
    expect(resume).toEqual(["called"]);
    expect([source.state.status, destination.state.status]).toEqual(["in-doubt", "failed"]);
    expect(source.state).toMatchObject({ destination: "reported-failure" });
    expect(destination.state).toMatchObject({ ownership: "taken" });
    expect(rig.incoming.holds).toBe(false);
    expect([rig.source.isRunning, rig.target.isRunning]).toEqual([false, false]);
    expect(await rig.drive(rig.ask())).toBe("lost");
    // Half of it must not be saved for the whole.
    expect(() => rig.target.kernel.snapshot()).toThrow(expect.objectContaining({ code: "ATTEMPT_ACTIVE" }));
  });

  it.each(["as it begins to load", "as a device waits"])("and loses its connection %s gives it back", async (when) => {
    const rig = new OwnedRig();
    const waits = demanding(rig, () => when === "as a device waits" && rig.line.cut());
    rig.incoming.events.on("status", ({ status }) => {
      if (status === "committing" && when !== "as a device waits") rig.line.cut();
    });
    const before = rig.target.memory();
    const over = rig.start();
    for (let turns = 0; turns < 20_000 && rig.incoming.state.status !== "failed"; turns++) await turn();
    expect(rig.outgoing.state.status).toBe("postcopy-paused");
    expect(rig.outgoing.abandon()).toBe(true);
    const [source, destination] = await rig.drive(over, 50);
    expect(waits).toEqual(["ATTEMPT_ENDED"]);
    expect(destination.state).toMatchObject({
      status: "failed",
      ownership: "none",
      error: { code: "TRANSPORT_CLOSED" },
    });
    expect(source.state).toMatchObject({ status: "in-doubt", destination: "unknown" });
    expect([rig.source.isRunning, rig.target.isRunning, rig.incoming.holds]).toEqual([false, false, false]);
    expect(await rig.there.read(machine)).toMatchObject({ state: "refused" });
    expect(rig.target.memory()).toBe(before);
    expect(rig.target.ram.absent()).toBeUndefined();
    expect(await rig.drive(rig.ask())).toBe("owned");
    expect([rig.source.isRunning, rig.target.isRunning]).toEqual([true, false]);
    // Both are free for another one.
    const attempts = [rig.source.kernel.outgoing(), rig.target.kernel.incoming()] as const;
    attempts[0].end(false);
    attempts[1].discard();
  });

  it("and loses its connection while nobody needs it has the machine, and takes up the rest by another", async () => {
    const rig = new OwnedRig();
    let isCut = false;
    rig.incoming.events.on("status", ({ status }) => {
      if (status !== "committing" || isCut) return;
      isCut = true;
      rig.line.cut();
    });
    const over = rig.start();
    for (let turns = 0; turns < 20_000 && rig.incoming.state.status !== "postcopy-paused"; turns++) await turn();
    expect(rig.target.isRunning).toBe(true);
    // Who touches a page may wait for it again.
    const arrived = rig.target.ram.postcopyDestination.arrived("pc.ram", firstAbsent(rig) * pageBytes);
    arrived.catch(() => {});
    for (let turns = 0; turns < 10; turns++) await turn();
    await recover(rig);
    const [source, destination] = await rig.drive(over);
    await arrived;
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    rig.expectMoved();
  });

  const firstAbsent = (rig: Rig): number => {
    const [words = new Uint32Array(0)] = rig.target.ram.absent()?.words ?? [];
    const index = words.findIndex((word) => word !== 0);
    const word = words[index] ?? 0;
    return index * 32 + 31 - Math.clz32(word & -word);
  };

  /** A device that is not ready before a page is there that has not come; how its wait ended. */
  function demanding(rig: Rig, waiting: () => void): string[] {
    const ends: string[] = [];
    for (const { kernel, ram } of [rig.source, rig.target]) {
      kernel.device(vmstate({ name: "demanding", version: 1, fields: { value: u8 } }), {
        after: ram.after,
        save: () => ({ value: 1 }),
        load: () => {},
        async ready() {
          const arrived = ram.postcopyDestination.arrived("pc.ram", firstAbsent(rig) * pageBytes);
          waiting();
          try {
            await arrived;
            ends.push("there");
          } catch (error) {
            ends.push((error as { code: string }).code);
            throw error;
          }
        },
      });
    }
    return ends;
  }

  function failing(rig: Rig, step: "commit" | "resume") {
    const calls = { commit: [] as string[], resume: [] as string[] };
    const fail = (): never => {
      calls[step].push("called");
      throw new Error("it fails");
    };
    const { kernel } = rig.target;
    if (step === "resume") kernel.resume = fail;
    else {
      const { incoming } = kernel;
      kernel.incoming = (...init) => {
        const attempt = incoming.apply(kernel, init);
        attempt.commit = async () => {
          attempt.discard();
          return fail();
        };
        return attempt;
      };
    }
    return calls;
  }
});

describe("a recovery", () => {
  it("may be begun by whoever hears that it is paused", async () => {
    const rig = new Rig();
    const again = line();
    const asked: Promise<void>[] = [];
    const onPaused = (by: () => Promise<void>) => (state: { readonly status: string }) => {
      if (state.status === "postcopy-paused") asked.push(by());
    };
    rig.outgoing.events.on(
      "status",
      onPaused(() => rig.outgoing.recover(() => again.connect())),
    );
    rig.incoming.events.on(
      "status",
      onPaused(() => rig.incoming.recover(() => again.accept())),
    );
    const over = rig.start();
    rig.guest = () => {
      rig.guest = undefined;
      rig.line.cut();
    };
    const [source, destination] = await rig.drive(over);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    expect(await Promise.allSettled(asked)).toMatchObject([{ status: "fulfilled" }, { status: "fulfilled" }]);
    rig.expectMoved();
  });

  it("that nobody answered does not take away the next one's connection", async () => {
    const rig = new Rig();
    const { guest, over } = await paused(rig);
    const same = line();
    await expect(
      rig.drive(
        rig.incoming.recover(() => same.accept()),
        1000,
      ),
    ).rejects.toMatchObject({ code: "PEER_SILENT" });
    await recover(rig, same);
    const [source, destination] = await rig.drive(over);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    guest.finish();
    rig.expectMoved(guest.written);
  });

  it("that broke before the connection for urgent pages came does not, either", async () => {
    const rig = new Rig({ preempt: true });
    const { guest, over } = await paused(rig);
    const same = line();
    let connections = 0;
    const flaky: Line = {
      ...same,
      get sentBytes() {
        return same.sentBytes;
      },
      connect() {
        if (++connections !== 2) return same.connect();
        same.cut();
        return Promise.reject(new Error("the line is cut"));
      },
    };
    await rig.drive(
      Promise.allSettled([rig.outgoing.recover(() => flaky.connect()), rig.incoming.recover(() => flaky.accept())]),
    );
    rig.line = flaky;
    await rig.until("postcopy-paused");
    await recover(rig, flaky);
    const [source, destination] = await rig.drive(over);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    guest.finish();
    rig.expectMoved(guest.written);
  });

  it("asks anew for what was asked for meanwhile", async () => {
    const rig = new Rig();
    const { guest, over } = await paused(rig);
    const step = rig.guest as () => void;
    rig.guest = undefined;
    step();
    const waiting = (guest.left[0] as number) * pageBytes;
    const arrived = rig.target.ram.postcopyDestination.arrived("pc.ram", waiting);
    const before = rig.outgoing.statistics().ram["postcopy-requests"];
    await recover(rig);
    const [source, destination] = await rig.drive(over);
    await arrived;
    expect(source.statistics.ram["postcopy-requests"]).toBeGreaterThan(before);
    expect(destination.postcopy?.latency.count).toBe(destination.postcopy?.requestedPages);
    rig.guest = step;
    guest.finish();
    rig.expectMoved(guest.written);
  });

  it("counts what every connection brought, and nothing that a broken one held", async () => {
    const plain = line();
    const rig = new Rig({
      line: {
        ...plain,
        get sentBytes() {
          return plain.sentBytes;
        },
        // Frames come in pieces: the line breaks in the middle of one.
        async accept() {
          const channel = await plain.accept();
          return {
            ...channel,
            async *receive() {
              for await (const chunk of channel.receive()) {
                for (let at = 0; at < chunk.length; at += 5000) {
                  yield chunk.subarray(at, at + 5000);
                  await turn();
                }
              }
            },
          };
        },
      },
    });
    const { guest, over } = await paused(rig);
    const atBreakBytes = rig.incoming.statistics().receivedBytes;
    expect(atBreakBytes).toBeGreaterThan(0);
    const missing = rig.target.ram.absent()?.pages as number;
    await recover(rig);
    const [source, destination] = await rig.drive(over);
    expect(source.state.status).toBe("completed");
    expect(destination.statistics.receivedBytes).toBeGreaterThan(atBreakBytes + 9 * missing);
    expect([source.statistics.bufferedBytes, destination.statistics.bufferedBytes]).toEqual([0, 0]);
    guest.finish();
    rig.expectMoved(guest.written);
  });

  it("takes nothing from a connection that has not said which migration it goes on with", async () => {
    const rig = new Rig();
    const { guest, over } = await paused(rig);
    const [stranger, there] = memoryPair({});
    const frames = new FrameWriter(await loadDigests());
    const payload = Uint8Array.of(0x02, 0, 0, 0, 0);
    const refused = rig.incoming.recover(async () => there);
    const { header } = frames.head(frameType.stream, payload);
    for (const bytes of [encodeMagic(), header, payload]) stranger.send(bytes).catch(() => {});
    await expect(rig.drive(refused, 50)).rejects.toMatchObject({ code: "PROTOCOL_ORDER" });
    await recover(rig);
    await rig.drive(over);
    guest.finish();
    rig.expectMoved(guest.written);
  });
});

describe("the connection for pages that are asked for", () => {
  /** Its writes are never taken; everything else goes. */
  function stuck(): Line & { readonly stuckBytes: number } {
    const plain = line();
    let connections = 0;
    let stuckBytes = 0;
    return {
      ...plain,
      get sentBytes() {
        return plain.sentBytes;
      },
      get stuckBytes() {
        return stuckBytes;
      },
      async connect() {
        const channel = await plain.connect();
        if (++connections !== 2) return channel;
        let sends = 0;
        return {
          ...channel,
          send(bytes) {
            // The opening goes.
            if (++sends === 1) return channel.send(bytes);
            stuckBytes += bytes.length;
            return new Promise(() => {});
          },
        };
      },
    };
  }

  it("is watched: one that takes nothing pauses both, and its pages come by the next", async () => {
    const by = stuck();
    const rig = new Rig({ preempt: true, line: by });
    const guest = writer(rig, [...everyThird].reverse());
    const over = rig.start();
    let mostBytes = 0;
    for (let turns = 0; turns < 4000 && rig.outgoing.state.status !== "postcopy-paused"; turns++) {
      await turn();
      mostBytes = Math.max(mostBytes, by.stuckBytes > 0 ? rig.outgoing.statistics().bufferedBytes : 0);
      if (rig.target.isRunning) rig.guest?.();
      if (by.stuckBytes > 0) rig.clock.advance(50);
    }
    const { state } = rig.outgoing;
    expect(state.status === "postcopy-paused" && state.error.code).toBe("PEER_SILENT");
    // What waits for it is held here.
    expect(mostBytes).toBeGreaterThanOrEqual(pageBytes);
    await rig.until("postcopy-paused");
    await recover(rig);
    const [source, destination] = await rig.drive(over, 50);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    guest.finish();
    rig.expectMoved(guest.written);
    expect(source.statistics.mostBufferedBytes).toBeLessThan(1024 * 1024);
  });

  it("counts in what was transferred, and not for the stream's", async () => {
    const sends: number[] = [];
    const rig = new Rig({
      preempt: true,
      line: line((bytes, index) => {
        if (index === 1) sends.push(bytes.length);
      }),
    });
    const guest = writer(rig, [...everyThird].reverse());
    const [source, destination] = await rig.drive(rig.start());
    // Its opening, and then a header and a payload for each frame.
    const urgentBytes = sends.slice(1).reduce((sum, bytes, at) => sum + (at % 2 === 0 ? 0 : bytes), 0);
    expect(urgentBytes).toBeGreaterThan(pageBytes);
    const { ram } = source.statistics;
    expect(ram.transferred).toBe(destination.statistics.receivedBytes + urgentBytes);
    expect(ram["precopy-bytes"] + ram["downtime-bytes"] + ram["postcopy-bytes"]).toBe(ram.transferred);
    guest.finish();
    rig.expectMoved(guest.written);
  });

  /** Which ends of each connection are over, and how. */
  function watched() {
    const plain = line();
    const open = new Set<string>();
    let here = 0;
    let there = 0;
    const watch = (name: string, channel: Channel): Channel => {
      open.add(name);
      return {
        send: (bytes) => channel.send(bytes),
        receive: () => channel.receive(),
        close() {
          open.delete(name);
          return channel.close();
        },
        abort(error) {
          open.delete(name);
          channel.abort(error);
        },
      };
    };
    const by: Line = {
      ...plain,
      get sentBytes() {
        return plain.sentBytes;
      },
      connect: async () => watch(`source ${here++}`, await plain.connect()),
      accept: async () => watch(`destination ${there++}`, await plain.accept()),
    };
    return { by, open };
  }

  it.each(["completed", "cancelled"])("is closed on both sides when the migration is %s", async (end) => {
    const { by, open } = watched();
    const rig = new Rig({ preempt: true, line: by });
    let opened: string[] = [];
    rig.outgoing.events.on("status", ({ status }) => {
      if (status !== "verifying") return;
      opened = [...open];
      if (end === "cancelled") rig.outgoing.cancel();
    });
    const [source] = await rig.drive(rig.start(), 50);
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(source.state.status).toBe(end);
    expect(opened).toContain("source 1");
    expect([...open]).toEqual([]);
  });
});

describe("the package", () => {
  it("stands where post-copy was advised and has not begun, and nowhere else", () => {
    const { ram } = ramMachine({ pages: 8 });
    const postcopyDestination = { listen: () => {} } as unknown as typeof ram.postcopyDestination;
    const host = { ...ram, postcopyDestination };
    const destination = new DestinationPages({ clock: new ManualClock(), ram: host, buffered: new BufferedBytes() });
    const hear = (command: QemuCommand) => destination.command({ ...command, name: "a command", offset: 0 });
    const refused = expect.objectContaining({ code: "PROTOCOL_ORDER" });
    expect(() => hear(packaged(100))).toThrow(refused);
    hear(postcopyAdvise({ pageSizes: pageBytes, targetPageBytes: pageBytes }));
    expect(hear(packaged(100))).toBe(true);
    expect(destination.mayRun).toBe(false);
    hear(postcopyListen);
    expect(() => hear(packaged(100))).toThrow(refused);
    hear(postcopyRun);
    // Devices of a machine that runs are not to be loaded a second time.
    expect(() => hear(packaged(100))).toThrow(refused);
    expect(destination.mayRun).toBe(true);
  });
});

describe("what somebody asks for", () => {
  it("is bounded by what a piece may hold, however much that is", async () => {
    const rig = new Rig({ startAt: 3 });
    const over = rig.start();
    rig.guest = () => rig.line.cut();
    await rig.until("postcopy-paused");
    rig.guest = undefined;
    for (let page = 0; page < pages; page++) {
      try {
        rig.target.ram.memory.read(page * pageBytes, 1);
      } catch (error) {
        absent(error);
      }
    }
    const sections: number[] = [];
    rig.outgoing.events.on("section", ({ bytes }) => sections.push(bytes));
    await recover(rig);
    const [source] = await rig.drive(over);
    expect(source.state.status).toBe("completed");
    expect(sections.reduce((sum, bytes) => sum + bytes, 0)).toBeGreaterThan(1024 * 1024);
    expect(Math.max(...sections)).toBeLessThanOrEqual(1024 * 1024);
    rig.expectMoved();
  });
});
