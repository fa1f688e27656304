// The wires towards a QEMU, with a scripted one at the other end: what is said when, and what silence and breaks mean.
import { isMigrationError } from "@godwit/core";
import { memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { Interrupt } from "../src/interrupt.ts";
import type { PageMessage } from "../src/postcopy/messages.ts";
import {
  decodeCommand,
  openReturnPath,
  ping,
  postcopyListen,
  postcopyResume,
  postcopyRun,
  type QemuCommand,
  recvBitmap,
} from "../src/qemu/commands.ts";
import { qemuDestinationWire, type StreamEnd } from "../src/qemu/destination-wire.ts";
import { type ReturnMessage, ReturnPathReader, ReturnPathWriter } from "../src/qemu/return-path.ts";
import { qemuSourceWire } from "../src/qemu/source-wire.ts";
import { ManualClock, turn } from "./support/clock.ts";

const peerTimeoutMs = 1000;
const manifest = {} as never;
const modes = {} as never;
const stream = (length: number) => new Uint8Array(length).fill(0x55);

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

const codeOf = (error: unknown): unknown => (isMigrationError(error) ? error.code : error);

function source() {
  const [ours, qemus] = memoryPair();
  const clock = new ManualClock();
  const interrupt = new Interrupt();
  const decoded: number[] = [];
  const heard: PageMessage[] = [];
  const wire = qemuSourceWire({
    channel: ours,
    clock,
    interrupt,
    peerTimeoutMs,
    decoded: (bytes) => void decoded.push(bytes),
    blocks: () => [{ idstr: "pc.ram", length: 100 * 4096 }],
    pageBytes: 4096,
  });
  const received: number[] = [];
  let isEnded = false;
  void (async () => {
    try {
      for await (const chunk of qemus.receive()) received.push(...chunk);
    } catch {
      // The test asks for the reason elsewhere.
    }
    isEnded = true;
  })();
  const writer = new ReturnPathWriter();
  return {
    wire,
    qemus,
    clock,
    interrupt,
    decoded,
    heard,
    received,
    get isEnded() {
      return isEnded;
    },
    say: async (message: ReturnMessage) => {
      await qemus.send(writer.write(message));
      await turns();
    },
    /** Sends a command as the driver does, within the stream. */
    write: async (command: QemuCommand) => {
      await wire.send(Uint8Array.of(8, 0, command.command, 0, command.payload.length, ...command.payload));
    },
  };
}

/** The PING at the end of what QEMU has received. */
function lastPing(received: readonly number[]): number {
  const [type, , command, , length, ...payload] = received.slice(-9);
  expect([type, command, length]).toEqual([8, 2, 4]);
  return new DataView(Uint8Array.from(payload).buffer).getUint32(0);
}

describe("a source towards QEMU", () => {
  it("opens the return path before all else", () => {
    const { wire } = source();
    expect(wire.opening.map((command) => decodeCommand(command))).toEqual([
      { kind: "open-return-path" },
      { kind: "ping", value: 1 },
    ]);
    expect(wire.runsOnLast).toBe(true);
  });

  it("knows what was decoded by a PING's answer, be it early or late", async () => {
    const { wire, decoded, say, write, received } = source();
    expect(await wire.agree(manifest, modes)).toEqual({ isRefused: false, misfits: [] });
    await say({ kind: "pong", value: 1 });
    await wire.send(stream(100));
    await wire.endRound(1, write);
    expect(decoded).toEqual([]);
    await turns();
    await say({ kind: "pong", value: lastPing(received) });
    expect(decoded).toEqual([109]);
    await wire.send(stream(1));
    await wire.endRound(2, async (command) => {
      await write(command);
      await turns();
      // Before the wire itself knows where the PING stands.
      await say({ kind: "pong", value: lastPing(received) });
      expect(decoded).toEqual([109]);
    });
    expect(decoded).toEqual([109, 119]);
  });

  it("is prepared when all but the held bytes is loaded, and done on SHUT(0) alone", async () => {
    const { wire, say, received } = source();
    await wire.send(stream(10));
    await wire.end();
    let isPrepared = false;
    const prepared = wire.prepared().then(() => {
      isPrepared = true;
    });
    await turns();
    expect(isPrepared).toBe(false);
    expect(received).toHaveLength(19);
    await say({ kind: "pong", value: lastPing(received) });
    await prepared;
    let isResumed = false;
    const released = wire.release(Uint8Array.of(0, 6)).then((times) => {
      isResumed = true;
      return times;
    });
    await turns();
    expect(received.slice(19)).toEqual([0, 6]);
    expect(isResumed).toBe(false);
    await say({ kind: "shut", status: 0 });
    expect(await released).toEqual({ prepareMs: undefined, commitMs: undefined });
    expect(wire.peerGaveUp).toBe(false);
  });

  it.each([
    ["before the release", false],
    ["after it", true],
  ])("SHUT(1) %s is QEMU's word that it failed", async (_, isReleased) => {
    const { wire, say, interrupt } = source();
    const released = isReleased ? wire.release(Uint8Array.of(0)) : undefined;
    released?.catch(() => {});
    await say({ kind: "shut", status: 1 });
    expect(interrupt.reason).toMatchObject({ code: "PEER_FAILED", location: { side: "source" } });
    expect(wire.peerGaveUp).toBe(true);
    if (released !== undefined) await expect(released).rejects.toMatchObject({ code: "PEER_FAILED" });
  });

  it("SHUT(0) for a machine that was not given is refused", async () => {
    const { wire, say, interrupt } = source();
    await wire.send(stream(5));
    await say({ kind: "shut", status: 0 });
    expect(interrupt.reason).toMatchObject({ code: "PROTOCOL_ORDER", found: "SHUT(0)" });
    expect(wire.peerGaveUp).toBe(false);
  });

  it.each([
    ["closes", "close"],
    ["breaks", "abort"],
  ] as const)("a connection that %s says nothing of the machine", async (_, how) => {
    const { wire, qemus, interrupt } = source();
    const released = wire.release(Uint8Array.of(0)).catch(codeOf);
    if (how === "close") await qemus.close();
    else qemus.abort(new Error("gone"));
    await turns();
    expect(interrupt.reason).toMatchObject({ code: "PEER_CLOSED", location: { side: "source" } });
    expect(await released).toBe("PEER_CLOSED");
    expect(wire.peerGaveUp).toBe(false);
  });

  it("an answer to no PING, or to one twice, is refused", async () => {
    for (const value of [7, 1]) {
      const { say, interrupt } = source();
      if (value === 1) await say({ kind: "pong", value: 1 });
      expect(interrupt.reason).toBeUndefined();
      await say({ kind: "pong", value });
      expect(interrupt.reason).toMatchObject({ code: "PROTOCOL_ORDER", found: String(value) });
    }
  });

  it("QEMU's silence ends every wait", async () => {
    for (const step of ["prepared", "release", "send"] as const) {
      const { wire, clock, interrupt, qemus } = source();
      if (step === "send") await qemus.close();
      if (step === "prepared") await wire.end();
      const [ours] = memoryPair({ bufferBytes: 10 });
      const stuck = qemuSourceWire({ channel: ours, clock, interrupt, peerTimeoutMs, decoded: () => {} });
      const waiting =
        step === "prepared"
          ? wire.prepared()
          : step === "release"
            ? wire.release(Uint8Array.of(0))
            : stuck.send(stream(100));
      const outcome = waiting.catch(codeOf);
      await turns();
      if (step !== "send") {
        clock.advance(peerTimeoutMs - 1);
        expect(interrupt.reason).toBeUndefined();
      }
      clock.advance(step === "send" ? peerTimeoutMs : 1);
      expect(await outcome).toBe(step === "send" ? "PEER_CLOSED" : "PEER_SILENT");
      if (step !== "send") expect(clock.timers).toBe(0);
    }
    const { clock, interrupt } = source();
    const [ours] = memoryPair({ bufferBytes: 10 });
    const stuck = qemuSourceWire({ channel: ours, clock, interrupt, peerTimeoutMs, decoded: () => {} });
    const outcome = stuck.send(stream(100)).catch(codeOf);
    await turns();
    clock.advance(peerTimeoutMs);
    expect(await outcome).toBe("PEER_SILENT");
  });

  it("hands on what is said beside, and refuses what is no return path", async () => {
    const { heard, say, qemus, interrupt, wire } = source();
    wire.postcopy?.hear(
      (message) => void heard.push(message),
      () => undefined,
    );
    const page = { idstr: "pc.ram", start: 4096, length: 4096 };
    await say({ kind: "request-pages", ...page });
    expect(heard).toEqual([{ kind: "page-request", ...page }]);
    await qemus.send(Uint8Array.of(0x47, 0x44, 0x57, 0x54));
    await turns();
    expect(interrupt.reason).toMatchObject({ code: "PROTOCOL_FRAME", location: { offset: 4 + 12 + 7 } });
  });

  it("in post-copy: the package behind a PING, running on the PING in it, over on SHUT(0)", async () => {
    const { wire, say, received } = source();
    const talk = wire.postcopy ?? expect.unreachable();
    const { before = [], inside = [] } = talk.commands ?? {};
    expect(before.map((command) => decodeCommand(command))).toEqual([
      { kind: "ram-discard", idstr: "pc.ram", ranges: [{ start: 0, length: 0 }] },
      { kind: "ping", value: 2 },
    ]);
    expect(inside.map((command) => decodeCommand(command))).toEqual([{ kind: "ping", value: 3 }]);
    const packaged = talk.packaged();
    await say({ kind: "pong", value: 2 });
    await packaged;
    let isRunning = false;
    const running = talk.running(Uint8Array.of(8, 0, 7)).then(() => {
      isRunning = true;
    });
    await turns();
    expect(received).toEqual([8, 0, 7]);
    expect(isRunning).toBe(false);
    await say({ kind: "pong", value: 3 });
    await running;
    const finished = talk.finished();
    await say({ kind: "shut", status: 0 });
    await finished;
  });

  it("after a lost connection asks for what QEMU has, block by block, and lets it go on when all is told", async () => {
    const first = source();
    first.wire.postcopy?.hear(
      (message) => void first.heard.push(message),
      () => undefined,
    );
    const [ours, qemus] = memoryPair();
    const interrupt = new Interrupt();
    const received: number[] = [];
    void (async () => {
      for await (const chunk of qemus.receive()) received.push(...chunk);
    })();
    await first.wire.postcopy?.resume(ours, interrupt);
    await turns();
    expect(received).toEqual([8, 0, 10, 0, 7, 6, ...Buffer.from("pc.ram")]);
    const writer = new ReturnPathWriter();
    const bitmap = new Uint8Array(16).fill(0x5a);
    await qemus.send(writer.write({ kind: "received-bitmap", idstr: "pc.ram", bitmap }));
    await turns();
    expect(received.slice(12)).toEqual([8, 0, 9, 0, 0]);
    await qemus.send(writer.write({ kind: "resume-ack", value: 1 }));
    await turns();
    expect(first.heard).toEqual([{ kind: "received-bitmap", idstr: "pc.ram", bitmap }, { kind: "resume-ack" }]);
    expect(interrupt.reason).toBeUndefined();
    // Told once more, and by a length that is not the block's.
    await qemus.send(writer.write({ kind: "received-bitmap", idstr: "pc.ram", bitmap }));
    await turns();
    expect(interrupt.reason).toMatchObject({ code: "PROTOCOL_ORDER" });
  });

  it("closes without a word", async () => {
    const one = source();
    await one.wire.close({ kind: "cancelled" });
    await turns();
    expect(one.received).toEqual([]);
    expect(one.isEnded).toBe(true);
    expect(one.interrupt.reason).toBeUndefined();
  });
});

function destination(init: { afterEofMs?: number } = {}) {
  const [ours, qemus] = memoryPair();
  const clock = new ManualClock();
  const interrupt = new Interrupt();
  const taken: number[] = [];
  const state: { end: StreamEnd; isOver: boolean } = { end: "open", isOver: false };
  const wire = qemuDestinationWire({
    channel: ours,
    clock,
    interrupt,
    peerTimeoutMs,
    roundEnded: () => {},
    stream: (bytes) => void taken.push(...bytes),
    streamEnd: () => state.end,
    ...init,
  });
  void wire.accept([]);
  const said: ReturnMessage[] = [];
  const reader = new ReturnPathReader({ message: (message) => void said.push(message) });
  void (async () => {
    try {
      for await (const chunk of qemus.receive()) reader.push(chunk);
    } catch {
      // The test itself broke it off.
    }
    state.isOver = true;
  })();
  const command = (one: QemuCommand) => wire.command({ ...one, name: "", offset: 0 });
  const arrive = async (end: StreamEnd) => {
    state.end = end;
    await qemus.send(stream(1));
    await turns();
  };
  return { wire, qemus, clock, interrupt, taken, said, state, command, arrive };
}

describe("a destination of a QEMU", () => {
  it("answers PINGs, and leaves to others what is not the wire's", async () => {
    const { said, command } = destination();
    expect(command(openReturnPath)).toBe(true);
    expect(command(ping(0x42))).toBe(true);
    expect(command(ping(3))).toBe(true);
    expect(command(postcopyListen)).toBe(false);
    expect(command({ command: 11, payload: new Uint8Array(0) })).toBe(true);
    await turns();
    expect(said).toEqual([
      { kind: "pong", value: 0x42 },
      { kind: "pong", value: 3 },
    ]);
  });

  it("refuses a PING before the return path is open", () => {
    const { command } = destination();
    expect(() => command(ping(1))).toThrow(/PROTOCOL_ORDER.*return-path/);
  });

  it("says SHUT(0) when the machine runs, and is believed when QEMU hangs up", async () => {
    const { wire, command, said, arrive, taken, qemus } = destination();
    command(openReturnPath);
    expect(await wire.agree(manifest, modes)).toEqual([]);
    await arrive("open");
    await arrive("whole");
    expect(taken).toHaveLength(2);
    expect(wire.receivedBytes).toBe(2);
    await wire.ended();
    await wire.prepared();
    expect(said).toEqual([]);
    let isTold = false;
    const told = wire.resumed({ prepareMs: 0, commitMs: 0 }).then(() => {
      isTold = true;
    });
    await turns();
    expect(said).toEqual([{ kind: "shut", status: 0 }]);
    expect(isTold).toBe(false);
    await qemus.close();
    await told;
    await wire.close({ kind: "completed" });
  });

  it("says so where QEMU may not have heard that", async () => {
    const broken = destination();
    broken.command(openReturnPath);
    await broken.arrive("whole");
    const outcome = broken.wire.resumed({ prepareMs: 0, commitMs: 0 }).catch(codeOf);
    await turns();
    broken.qemus.abort(new Error("gone"));
    expect(await outcome).toBe("PEER_CLOSED");
    const silent = destination();
    silent.command(openReturnPath);
    await silent.arrive("whole");
    const waiting = silent.wire.resumed({ prepareMs: 0, commitMs: 0 }).catch(codeOf);
    await turns();
    silent.clock.advance(peerTimeoutMs);
    expect(await waiting).toBe("PEER_SILENT");
  });

  it.each(["failed", "cancelled"] as const)("says SHUT(1) when it has %s", async (kind) => {
    const { wire, command, said, state } = destination();
    command(openReturnPath);
    const error = { code: "X" } as never;
    await wire.close(kind === "failed" ? { kind, error } : { kind });
    await turns();
    expect(said).toEqual([{ kind: "shut", status: 1 }]);
    expect(state.isOver).toBe(true);
  });

  it("says nothing on a return path that is not open, and takes nothing more: QEMU would count on it", async () => {
    const { wire, said, state, qemus } = destination();
    await wire.close({ kind: "cancelled" });
    await turns();
    expect(said).toEqual([]);
    expect(state.isOver).toBe(true);
    await expect(qemus.send(stream(1))).rejects.toMatchObject({ code: expect.stringMatching(/^TRANSPORT_/) });
  });

  it("waits behind EOF for the stream's own description, which may not come", async () => {
    const { wire, clock, command, arrive } = destination({ afterEofMs: 100 });
    command(openReturnPath);
    let isEnded = false;
    const ended = wire.ended().then(() => {
      isEnded = true;
    });
    await arrive("eof");
    clock.advance(99);
    await arrive("eof");
    clock.advance(99);
    await turns();
    expect(isEnded).toBe(false);
    clock.advance(1);
    await ended;
  });

  it("waits for none in post-copy", async () => {
    const { wire, command, arrive } = destination();
    command(openReturnPath);
    command(postcopyListen);
    command(postcopyRun);
    await arrive("open");
    expect(await wire.ended()).toBe("package");
    let isOver = false;
    const finished = wire.postcopy
      ?.finished(async () => {})
      .then(() => {
        isOver = true;
      });
    await turns();
    expect(isOver).toBe(false);
    await arrive("eof");
    await finished;
  });

  it("after a lost connection tells what QEMU asks for, and nothing before it asks", async () => {
    const { wire, command } = destination();
    command(openReturnPath);
    const [ours, qemus] = memoryPair();
    const interrupt = new Interrupt();
    const next = (await wire.postcopy?.resume(ours, interrupt)) ?? expect.unreachable();
    const said: ReturnMessage[] = [];
    const reader = new ReturnPathReader({ message: (message) => void said.push(message) });
    void (async () => {
      for await (const chunk of qemus.receive()) reader.push(chunk);
    })();
    const bitmap = new Uint8Array(8).fill(3);
    const told = next.postcopy?.say({ kind: "received-bitmap", idstr: "pc.ram", bitmap });
    const acknowledged = next.postcopy?.say({ kind: "resume-ack" });
    await turns();
    expect(said).toEqual([]);
    expect(command(recvBitmap("pc.ram"))).toBe(true);
    await told;
    await turns();
    expect(said).toEqual([{ kind: "received-bitmap", idstr: "pc.ram", bitmap }]);
    expect(command(postcopyResume)).toBe(true);
    await acknowledged;
    await turns();
    expect(said.slice(1)).toEqual([{ kind: "resume-ack", value: 1 }]);
  });

  it("is not believed where QEMU hung up before SHUT(0) was on its way", async () => {
    const [ours, qemus] = memoryPair();
    let isLetGo: () => void = () => {};
    const wire = qemuDestinationWire({
      // What is said waits, as on a connection that is full.
      channel: {
        receive: () => ours.receive(),
        close: () => ours.close(),
        abort: (error) => ours.abort(error),
        send: () =>
          new Promise<void>((resolve) => {
            isLetGo = resolve;
          }),
      },
      clock: new ManualClock(),
      interrupt: new Interrupt(),
      peerTimeoutMs,
      roundEnded: () => {},
      stream: () => undefined,
      streamEnd: () => "whole",
    });
    wire.command({ ...openReturnPath, name: "", offset: 0 });
    await wire.accept([]);
    await qemus.send(stream(1));
    await wire.ended();
    await wire.prepared();
    const outcome = wire.resumed({ prepareMs: 0, commitMs: 0 }).then(
      () => "told",
      (error: unknown) => codeOf(error),
    );
    await qemus.close();
    await turns();
    isLetGo();
    expect(await outcome).toBe("PEER_CLOSED");
  });

  it("leaves commands of a recovery to nobody where there is none, and bounds what one may ask", async () => {
    const { wire, command } = destination();
    command(openReturnPath);
    expect(command(recvBitmap("pc.ram"))).toBe(false);
    expect(command(postcopyResume)).toBe(false);
    const [ours] = memoryPair();
    await wire.postcopy?.resume(ours, new Interrupt());
    for (let i = 0; i < 4096; i++) expect(command(recvBitmap(`block ${i}`))).toBe(true);
    expect(command(recvBitmap("block 7"))).toBe(true);
    expect(() => command(recvBitmap("one more"))).toThrow(/PROTOCOL_ORDER.*4096/);
  });

  it("refuses a QEMU without a return path: it would give its machine away unasked", async () => {
    const early = destination();
    await early.qemus.send(stream(4096));
    await turns();
    expect(early.interrupt.reason).toBeUndefined();
    await early.qemus.send(stream(1));
    await turns();
    expect(early.interrupt.reason).toMatchObject({ code: "PROTOCOL_ORDER", found: "none" });
    const late = destination();
    await late.arrive("whole");
    await expect(late.wire.ended()).rejects.toMatchObject({ code: "PROTOCOL_ORDER", found: "none" });
  });

  it("counts a QEMU that sends nothing as silent, and one that goes as gone", async () => {
    const silent = destination();
    silent.command(openReturnPath);
    silent.clock.advance(900);
    await silent.arrive("open");
    silent.clock.advance(999);
    expect(silent.interrupt.reason).toBeUndefined();
    silent.clock.advance(1);
    expect(silent.interrupt.reason).toMatchObject({ code: "PEER_SILENT", location: { side: "destination" } });
    const gone = destination();
    await gone.qemus.close();
    await turns();
    expect(gone.interrupt.reason).toMatchObject({ code: "PEER_CLOSED", location: { side: "destination" } });
  });

  it("reads nothing more while what came is being kept, and refuses what comes behind the end", async () => {
    const [ours, qemus] = memoryPair();
    const interrupt = new Interrupt();
    let keep: () => void = () => {};
    let pieces = 0;
    let end: StreamEnd = "open";
    const wire = qemuDestinationWire({
      channel: ours,
      clock: new ManualClock(),
      interrupt,
      peerTimeoutMs,
      roundEnded: () => {},
      stream: () => {
        pieces++;
        return new Promise<void>((resolve) => {
          keep = resolve;
        });
      },
      streamEnd: () => end,
    });
    await qemus.send(stream(1));
    await turns();
    expect(pieces).toBe(0);
    await wire.accept([]);
    await turns();
    await qemus.send(stream(1));
    await turns();
    expect(pieces).toBe(1);
    keep();
    await turns();
    expect(pieces).toBe(2);
    end = "whole";
    keep();
    await turns();
    await qemus.send(stream(1));
    await turns();
    expect(pieces).toBe(2);
    expect(interrupt.reason).toMatchObject({ code: "PROTOCOL_ORDER", detail: "QEMU sends more than its stream" });
  });
});
