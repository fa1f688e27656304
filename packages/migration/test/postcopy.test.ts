// Post-copy between two engines: the machine first, its pages behind it, over one connection or several.
import { describe, expect, it } from "vitest";
import { pageHearing, type SourceShared } from "../src/godwit/source-postcopy.ts";
import { Interrupt } from "../src/interrupt.ts";
import { checkedParameters } from "../src/parameters.ts";
import type { PageMessage } from "../src/postcopy/messages.ts";
import { SourcePages } from "../src/postcopy/source-pages.ts";
import { ManualClock } from "./support/clock.ts";
import { absent, everyThird, type Line, line, pageBytes, pages, Rig, writer } from "./support/postcopy-rig.ts";
import { ramMachine } from "./support/ram-machine.ts";

describe("post-copy", () => {
  it.each([false, true])("runs the machine first, and brings all pages behind it; preempt %s", async (preempt) => {
    const rig = new Rig({ preempt });
    let dirtyAtPause = 0;
    const { postcopyDestination } = rig.target.ram;
    const { discard } = postcopyDestination;
    // All that was dirty when the machine stood, before a page of it went.
    Object.assign(postcopyDestination, {
      discard(...[idstr, ranges]: Parameters<typeof discard>) {
        for (const { length } of ranges) dirtyAtPause += length / pageBytes;
        discard(idstr, ranges);
      },
    });
    const guest = writer(rig, [...everyThird].reverse());
    const [source, destination] = await rig.drive(rig.start());
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    guest.finish();
    rig.expectMoved(guest.written);
    expect(rig.statuses.source.slice(-6)).toEqual([
      "device",
      "verifying",
      "releasing",
      "released",
      "postcopy-active",
      "completed",
    ]);
    expect(rig.statuses.destination.slice(-6)).toEqual([
      "checking",
      "prepared",
      "committing",
      "resuming",
      "postcopy-active",
      "completed",
    ]);
    const { postcopy } = destination;
    // The guest's first instruction ran while nearly all that was dirty was still to come.
    expect(dirtyAtPause).toBeGreaterThan(50);
    expect(postcopy?.missingPages).toBeGreaterThanOrEqual(0.9 * dirtyAtPause);
    expect(postcopy?.requestedPages).toBeGreaterThan(5);
    expect(postcopy?.faults).toBeGreaterThanOrEqual(postcopy?.requestedPages as number);
    expect(postcopy?.latency.count).toBe(postcopy?.requestedPages);
    expect(postcopy).toMatchObject({ ignoredPages: 0, recoveries: 0 });
    expect(source.statistics.ram["postcopy-requests"]).toBe(postcopy?.requestedPages);
    expect(destination.sourceTold).toBe(true);
    // Over whichever connection they went.
    const { ram } = source.statistics;
    expect(ram["postcopy-bytes"]).toBeGreaterThanOrEqual((postcopy?.missingPages as number) * pageBytes * 0.5);
    expect(rig.line.sentBytes).toBeGreaterThanOrEqual(ram.transferred);
    expect(ram.transferred).toBeGreaterThan(0.97 * rig.line.sentBytes);
    expect(ram["precopy-bytes"] + ram["downtime-bytes"] + ram["postcopy-bytes"]).toBe(ram.transferred);
    expect(ram.remaining).toBe(0);
    // The migration is over: no time passes for it any more.
    expect(source.statistics).toHaveProperty("downtime");
    expect(source.statistics).not.toHaveProperty("expected-downtime");
    const totalMs = source.statistics["total-time"];
    rig.clock.advance(10_000);
    expect(rig.outgoing.statistics()["total-time"]).toBe(totalMs);
    expect(ram["pages-per-second"]).toBeCloseTo(
      (1000 * ((ram.duplicate ?? 0) + (ram.normal ?? 0))) / (totalMs - source.statistics["setup-time"]),
      -3,
    );
  });

  it("can begin before the first round is over: what never went comes all the same", async () => {
    const rig = new Rig({ startAt: 3 });
    const guest = writer(rig, everyThird);
    const [source, destination] = await rig.drive(rig.start());
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    expect(destination.postcopy?.missingPages).toBeGreaterThan(pages / 2);
    guest.finish();
    rig.expectMoved(guest.written);
  });

  it("is not begun without the capability on both sides, nor before there is anything to begin with", async () => {
    const rig = new Rig({ outgoing: { capabilities: {} } });
    expect(() => rig.outgoing.startPostcopy()).toThrow(expect.objectContaining({ code: "CAPABILITY_CONFLICT" }));
    const [source] = await rig.drive(rig.start());
    expect(source.state.status).toBe("failed");
    expect(source.misfits.map(({ subject }) => subject).join()).toContain("postcopy-ram");
    expect(() => new Rig().outgoing.startPostcopy()).toThrow(expect.objectContaining({ code: "PROTOCOL_ORDER" }));
  });

  it("does not hold back what is asked for, and the rest to max-postcopy-bandwidth", async () => {
    const rig = new Rig({ outgoing: { parameters: { "downtime-limit": 1, "max-postcopy-bandwidth": 1024 * 1024 } } });
    const guest = writer(
      rig,
      Array.from({ length: 8 }, (_, i) => pages - 1 - 30 * i),
    );
    // It asks for another page every 35 ms, wherever the slice of what nobody asked for stands.
    const step = rig.guest as () => void;
    let nextMs = 0;
    rig.guest = () => {
      if (rig.clock.nowMs() < nextMs) return;
      nextMs = rig.clock.nowMs() + 35;
      step();
    };
    const begun: number[] = [];
    rig.outgoing.events.on("status", ({ status }) => {
      if (status === "postcopy-active" || status === "completed") begun.push(rig.clock.nowMs());
    });
    const ticking = setInterval(() => {
      if (rig.target.isRunning) rig.guest?.();
    }, 0);
    const [source, destination] = await rig.drive(rig.start(), 5);
    clearInterval(ticking);
    const bytes = (destination.postcopy?.unaskedPages as number) * pageBytes;
    const [fromMs, toMs] = begun as [number, number];
    // A MiB a second, in slices of 100 ms, of which the first is free.
    expect(toMs - fromMs).toBeGreaterThan((bytes / 1024 / 1024) * 1000 * 0.5 - 100);
    // Nobody waits for the end of a slice.
    expect(destination.postcopy?.latency.count).toBeGreaterThanOrEqual(4);
    expect(destination.postcopy?.latency.maxMs).toBeLessThan(40);
    rig.guest = step;
    guest.finish();
    expect(source.state.status).toBe("completed");
    rig.expectMoved(guest.written);
  });
});

describe("a connection that breaks", () => {
  async function paused(preempt = false) {
    const rig = new Rig({ preempt });
    const guest = writer(rig, [...everyThird].reverse());
    const over = rig.start();
    let isCut = false;
    const step = rig.guest as () => void;
    rig.guest = () => {
      step();
      if (isCut || guest.left.length > everyThird.length - 8) return;
      isCut = true;
      rig.line.cut();
    };
    await rig.until("postcopy-paused");
    return { rig, guest, over };
  }

  it.each([false, true])("pauses both, and another brings everything; preempt %s", async (preempt) => {
    const { rig, guest, over } = await paused(preempt);
    expect(rig.target.isRunning).toBe(true);
    expect(rig.source.isRunning).toBe(false);
    expect([rig.outgoing.cancel(), rig.incoming.cancel()]).toEqual([false, false]);
    const missing = rig.target.ram.absent()?.pages as number;
    expect(missing).toBeGreaterThan(0);
    // While there is no connection, what is absent stays absent, and is asked for by the next one.
    for (let i = 0; i < 5; i++) rig.guest?.();
    rig.line = line();
    const recovered = Promise.all([
      rig.outgoing.recover(() => rig.line.connect()),
      rig.incoming.recover(() => rig.line.accept()),
    ]);
    await rig.drive(recovered);
    const [source, destination] = await rig.drive(over);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    expect(destination.postcopy?.recoveries).toBe(1);
    guest.finish();
    rig.expectMoved(guest.written);
    expect(rig.statuses.source.slice(-4)).toEqual([
      "postcopy-paused",
      "postcopy-recover",
      "postcopy-active",
      "completed",
    ]);
  });

  it("may break again, at any byte of the next connections, and a recovery that fails is told", async () => {
    for (const cutAfter of [20, 200, 5_000, 60_000, 150_000]) {
      const { rig, guest, over } = await paused();
      const breaking: Line = line(() => {
        if (breaking.sentBytes > cutAfter) breaking.cut();
      });
      rig.line = breaking;
      const results = await rig.drive(
        Promise.allSettled([
          rig.outgoing.recover(() => breaking.connect()),
          rig.incoming.recover(() => breaking.accept()),
        ]),
        cutAfter < 300 ? 50 : 0,
      );
      if (cutAfter < 100) expect(results.map(({ status }) => status)).toContain("rejected");
      await rig.until("postcopy-paused");
      rig.line = line();
      await rig.drive(
        Promise.all([rig.outgoing.recover(() => rig.line.connect()), rig.incoming.recover(() => rig.line.accept())]),
      );
      const [source, destination] = await rig.drive(over);
      expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
      guest.finish();
      rig.expectMoved(guest.written);
    }
  });

  it("may break in the middle of a section, whose rest comes by no other", async () => {
    const rig = new Rig({ startAt: 3 });
    const over = rig.start();
    rig.guest = () => rig.line.cut();
    await rig.until("postcopy-paused");
    rig.guest = undefined;
    // Somebody waits for every page: they come in one section, of many frames.
    for (let page = 0; page < pages; page++) {
      try {
        rig.target.ram.memory.read(page * pageBytes, 1);
      } catch (error) {
        absent(error);
      }
    }
    const missing = rig.target.ram.absent()?.pages as number;
    const breaking: Line = line(() => {
      if (breaking.sentBytes > 600_000) breaking.cut();
    });
    await rig.drive(
      Promise.all([rig.outgoing.recover(() => breaking.connect()), rig.incoming.recover(() => breaking.accept())]),
    );
    await rig.until("postcopy-paused");
    const left = rig.target.ram.absent()?.pages as number;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(missing);
    rig.line = line();
    await rig.drive(
      Promise.all([rig.outgoing.recover(() => rig.line.connect()), rig.incoming.recover(() => rig.line.accept())]),
    );
    const [source, destination] = await rig.drive(over);
    expect([source.state.status, destination.state.status]).toEqual(["completed", "completed"]);
    expect(destination.postcopy).toMatchObject({ recoveries: 2, ignoredPages: 0 });
    rig.expectMoved();
  });

  it("may be given up: lost where the machine is, in doubt where its pages are, and nothing runs on", async () => {
    const { rig, over } = await paused();
    expect([rig.outgoing.abandon(), rig.incoming.abandon()]).toEqual([true, true]);
    const [source, destination] = await rig.drive(over, 50);
    expect([source.state.status, destination.state.status]).toEqual(["in-doubt", "lost"]);
    expect([rig.source.isRunning, rig.target.isRunning]).toEqual([false, false]);
    expect(() => rig.target.ram.memory.read(rig.target.ram.absent() === undefined ? -1 : 0, pages * pageBytes)).toThrow(
      "PAGE_ABSENT",
    );
    expect([rig.outgoing.abandon(), rig.incoming.abandon()]).toEqual([false, false]);
    await expect(rig.outgoing.recover(() => rig.line.connect())).rejects.toMatchObject({ code: "PROTOCOL_ORDER" });
  });

  it("may be given up although the machine cannot even be stopped: that is told, and it is lost all the same", async () => {
    const rig: Rig = new Rig({
      machine: (kernel) => ({
        manifest: () => kernel.manifest(),
        outgoing: (init) => kernel.outgoing(init),
        incoming: (init) => kernel.incoming(init),
        quiesce: () => kernel.quiesce(),
        resume: () => kernel.resume(),
        pause: () => {
          throw new Error("the machine does not stop");
        },
      }),
    });
    const run = rig.start();
    await rig.until("postcopy-active");
    rig.line.cut();
    await rig.until("postcopy-paused");
    expect([rig.incoming.abandon(), rig.outgoing.abandon()]).toEqual([true, true]);
    const [, destination] = await rig.drive(run);
    expect(destination.state.status).toBe("lost");
    expect(destination.cleanupError).toMatchObject({ code: "MACHINE_FAILED" });
  });

  it("before the machine is given away leaves it where it was", async () => {
    let seen = 0;
    const cutting: Line = line((bytes) => {
      // POSTCOPY_RUN, the package's last bytes, is in one of the last writes before it is the destination's.
      if (Buffer.from(bytes).includes(Buffer.from([8, 0, 5, 0, 0])) && seen++ === 0) cutting.cut();
    });
    const rig = new Rig({ line: cutting });
    const [source, destination] = await rig.drive(rig.start(), 50);
    expect(seen).toBeGreaterThan(0);
    expect([source.state.status, destination.state.status]).toEqual(["failed", "failed"]);
    expect([rig.source.isRunning, rig.target.isRunning]).toEqual([true, false]);
    expect(rig.target.memory().every((byte) => byte === 0)).toBe(true);
  });
});

describe("what a destination says of pages", () => {
  const piece = (at: number, bytes: number, of: number, idstr = "pc.ram") =>
    ({ kind: "received-bitmap", idstr, at, of, bitmap: new Uint8Array(bytes).fill(at + 1) }) as const;

  it("is put together from its pieces, in their order and of the length that was told", () => {
    const heard: PageMessage[] = [];
    const bytesOf: Record<string, number> = { "pc.ram": 8, rom: 2 };
    const shared = {
      handler: (message: PageMessage) => heard.push(message),
      bitmapBytes: (idstr: string) => bytesOf[idstr],
    } as unknown as SourceShared;
    const hear = pageHearing(shared);
    expect(hear({ kind: "alive" })).toBe(false);
    expect([hear(piece(0, 3, 8)), hear(piece(3, 4, 8))]).toEqual([true, true]);
    expect(heard).toEqual([]);
    hear(piece(7, 1, 8));
    hear(piece(0, 2, 2, "rom"));
    expect(heard).toEqual([
      { kind: "received-bitmap", idstr: "pc.ram", bitmap: Uint8Array.of(1, 1, 1, 4, 4, 4, 4, 8) },
      { kind: "received-bitmap", idstr: "rom", bitmap: Uint8Array.of(1, 1) },
    ]);
    for (const wrong of [
      [piece(0, 2, 8), piece(3, 2, 8)],
      [piece(0, 2, 8), piece(2, 2, 8, "rom")],
      [piece(0, 9, 8)],
      [piece(0, 0, 8)],
      // As long as it is told to be, and not as the block's is: nothing is held of it.
      [piece(0, 8, 2 ** 40)],
      [piece(0, 8, 16)],
      [piece(0, 2, 2, "no.ram")],
    ]) {
      const again = pageHearing(shared);
      expect(() => wrong.map(again)).toThrow(expect.objectContaining({ code: "PROTOCOL_MESSAGE" }));
    }
    shared.handler = undefined;
    expect(() => hear({ kind: "resume-ack" })).toThrow(expect.objectContaining({ code: "PROTOCOL_ORDER" }));
  });

  it("is of every block, once, and only where it was asked", () => {
    const { kernel, ram } = ramMachine({ pages: 8 });
    const attempt = kernel.outgoing();
    for (const chunk of [...attempt.setup(), ...attempt.switchOver()]) expect(chunk.length).toBeGreaterThan(0);
    for (const { idstr } of ram.postcopySource.discards()) expect(idstr).toBe("pc.ram");
    const source = new SourcePages({
      clock: new ManualClock(),
      ram,
      attempt,
      parameters: () => checkedParameters({}),
      yieldToHost: async () => {},
      sentBytes: () => 0,
    });
    expect([source.bitmapBytes("pc.ram"), source.bitmapBytes("no.ram")]).toEqual([8, undefined]);
    const bitmap = { kind: "received-bitmap", idstr: "pc.ram", bitmap: new Uint8Array(8).fill(0x0f) } as const;
    const refused = expect.objectContaining({ code: "PROTOCOL_ORDER" });
    expect(() => source.hear(bitmap)).toThrow(refused);
    const resumed = source.resumed(new Interrupt());
    expect(() => source.hear({ kind: "resume-ack" })).toThrow(refused);
    source.hear(bitmap);
    expect(() => source.hear(bitmap)).toThrow(refused);
    expect(attempt.pending(false).canPostcopyBytes).toBe(4 * pageBytes);
    source.hear({ kind: "resume-ack" });
    attempt.end(false);
    return resumed;
  });
});

describe("a destination that asks for what there is not", () => {
  it.each([
    ["RAM_BLOCK_UNKNOWN", { idstr: "no.ram", start: 0, length: pageBytes }],
    ["RAM_OFFSET", { idstr: "pc.ram", start: pages * pageBytes, length: pageBytes }],
    ["RAM_OFFSET", { idstr: "pc.ram", start: 5, length: pageBytes }],
  ])("is refused by name: %s", async (code, request) => {
    const { encodeControl } = await import("../src/godwit/control.ts");
    const { FrameWriter } = await import("../src/godwit/framing.ts");
    const { loadDigests } = await import("../src/godwit/digest.ts");
    const digests = await loadDigests();
    const plain = line();
    let inject: (() => void) | undefined;
    let told = false;
    const rig = new Rig({
      line: {
        ...plain,
        get sentBytes() {
          return plain.sentBytes;
        },
        async accept() {
          const channel = await plain.accept();
          // Counts the destination's frames, so that one more can stand in their row.
          let frames = 0;
          return {
            send(bytes) {
              const isMagic = bytes.length < 24;
              if (!isMagic) frames++;
              inject = () => {
                if (told) return;
                told = true;
                const counted = new FrameWriter(digests);
                for (let i = 0; i < frames; i++) counted.head(1, Uint8Array.of(0));
                void channel.send(counted.control(encodeControl({ kind: "page-request", ...request }))).catch(() => {});
              };
              return channel.send(bytes);
            },
            receive: () => channel.receive(),
            close: () => channel.close(),
            abort: (error) => channel.abort(error),
          };
        },
      },
    });
    rig.guest = () => inject?.();
    const over = rig.start();
    await rig.until("postcopy-paused");
    const { state } = rig.outgoing;
    expect(state.status === "postcopy-paused" && state.error.code).toBe(code);
    rig.guest = undefined;
    rig.line = line();
    await rig.drive(
      Promise.all([rig.outgoing.recover(() => rig.line.connect()), rig.incoming.recover(() => rig.line.accept())]),
    );
    const [source] = await rig.drive(over);
    expect(source.state.status).toBe("completed");
    rig.expectMoved();
  });
});
