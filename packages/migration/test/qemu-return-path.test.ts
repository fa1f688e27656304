// QEMU's return path and commands, read and written: QEMU's own bytes, every cut, and what cannot be.
import { StreamReader } from "@godwit/core/stream";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  commandNumber,
  decodeCommand,
  openReturnPath,
  packaged,
  ping,
  postcopyAdvise,
  postcopyListen,
  postcopyResume,
  postcopyRun,
  type QemuCommand,
  ramDiscardNothing,
  ramDiscards,
  recvBitmap,
} from "../src/qemu/commands.ts";
import { type ReturnMessage, ReturnPathReader, ReturnPathWriter } from "../src/qemu/return-path.ts";

const written = (messages: readonly ReturnMessage[]): Uint8Array => {
  const writer = new ReturnPathWriter();
  return joined(messages.map((message) => writer.write(message)));
};

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function read(bytes: Uint8Array, cuts: readonly number[] = []): ReturnMessage[] {
  const messages: ReturnMessage[] = [];
  const reader = new ReturnPathReader({ message: (message) => void messages.push(message) });
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    // A piece is the caller's again: what is kept of it must be a copy.
    const piece = bytes.slice(at, cut);
    reader.push(piece);
    piece.fill(0xee);
    at = cut;
  }
  expect(reader.atBoundary).toBe(true);
  expect(reader.offset).toBe(bytes.length);
  return messages;
}

const bitmap = Uint8Array.from({ length: 16 }, (_, i) => i * 17);
const every: readonly ReturnMessage[] = [
  { kind: "pong", value: 1 },
  { kind: "switchover-ack" },
  { kind: "request-pages", idstr: "pc.ram", start: 0x21_1000, length: 4096 },
  { kind: "request-pages", idstr: "pc.ram", start: 0, length: 8192 },
  { kind: "received-bitmap", idstr: "vga.vram", bitmap },
  { kind: "received-bitmap", idstr: "rom", bitmap: new Uint8Array(0) },
  { kind: "request-pages", idstr: "vga.vram", start: 2 ** 40, length: 4096 },
  { kind: "resume-ack", value: 1 },
  { kind: "shut", status: 0 },
];

describe("the return path", () => {
  it("is written as QEMU writes it: the block is named once", () => {
    const hex = (message: ReturnMessage, writer = new ReturnPathWriter()) =>
      Buffer.from(writer.write(message)).toString("hex");
    expect(hex({ kind: "shut", status: 0 })).toBe("0001000400000000");
    expect(hex({ kind: "pong", value: 0x42 })).toBe("0002000400000042");
    expect(hex({ kind: "resume-ack", value: 1 })).toBe("0006000400000001");
    expect(hex({ kind: "switchover-ack" })).toBe("00070000");
    const writer = new ReturnPathWriter();
    const request: ReturnMessage = { kind: "request-pages", idstr: "a", start: 0x1000, length: 0x2000 };
    expect(hex(request, writer)).toBe(`0003000e000000000000100000002000${"0161"}`);
    expect(hex(request, writer)).toBe("0004000c000000000000100000002000");
    expect(hex({ ...request, idstr: "b" }, writer)).toBe(`0003000e000000000000100000002000${"0162"}`);
    expect(hex({ kind: "received-bitmap", idstr: "a", bitmap: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) })).toBe(
      "000500020161" + "0000000000000008" + "0102030405060708" + "0123456789abcdef",
    );
  });

  it("is read with every single cut", () => {
    const bytes = written(every);
    expect(read(bytes)).toEqual(every);
    for (let cut = 0; cut <= bytes.length; cut++) expect(read(bytes, [cut])).toEqual(every);
    expect(read(bytes, [...bytes.keys()])).toEqual(every);
  });

  it("is read as it was written, whatever the messages and cuts", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const idstr = fc.string({ maxLength: 60, unit: "grapheme" });
    const longs = fc.uint8Array({ maxLength: 12 }).map((bytes) => joined(Array.from({ length: 8 }, () => bytes)));
    const message = fc.oneof(
      u32.map((status): ReturnMessage => ({ kind: "shut", status })),
      u32.map((value): ReturnMessage => ({ kind: "pong", value })),
      fc.tuple(idstr, fc.maxSafeNat(), u32).map(
        ([name, start, length]): ReturnMessage => ({
          kind: "request-pages",
          idstr: name,
          start,
          length: length || 1,
        }),
      ),
      fc
        .tuple(idstr, longs)
        .map(([name, bits]): ReturnMessage => ({ kind: "received-bitmap", idstr: name, bitmap: bits })),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat(2000), { maxLength: 10 }), (messages, cuts) => {
        const bytes = written(messages);
        const within = cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b);
        expect(read(bytes, within)).toEqual(messages);
      }),
      { seed: 6, numRuns: 200 },
    );
  });

  it.skipIf(!haveStreams())("of QEMU 7.2 in post-copy is read, and written to the same bytes", () => {
    const bytes = readStream("tiny-postcopy-7.2.rp");
    const messages = read(bytes);
    expect(messages.slice(0, 5).map((one) => (one.kind === "pong" ? one.value : one.kind))).toEqual([
      1,
      2,
      4,
      3,
      "request-pages",
    ]);
    expect(messages.at(-1)).toEqual({ kind: "shut", status: 0 });
    expect(messages.filter(({ kind }) => kind === "request-pages").length).toBeGreaterThan(100);
    expect(Buffer.compare(written(messages), bytes)).toBe(0);
  });

  it.each([
    ["an unknown type", "00080000", "PROTOCOL_FRAME", "return-path.type", 0],
    ["type 0", "00000000", "PROTOCOL_FRAME", "return-path.type", 0],
    ["a SHUT of another length", "00010005", "PROTOCOL_FRAME", "return-path.length", 2],
    ["a length beyond any", "00030200", "PROTOCOL_FRAME", "return-path.length", 2],
    [
      "a name that is shorter than its message",
      `0003000e${"00".repeat(11)}01${"00"}61`,
      "PROTOCOL_MESSAGE",
      "return-path.idstr",
      16,
    ],
    ["no page", `0003000e${"00".repeat(12)}0161`, "PROTOCOL_MESSAGE", "return-path.len", 12],
    ["pages of no block", `0004000c${"00".repeat(11)}01`, "PROTOCOL_ORDER", "return-path.idstr", 0],
    ["an acknowledgement of 2", "0006000400000002", "PROTOCOL_MESSAGE", "return-path.value", 4],
    ["a bitmap of 7 bytes", "000500020161" + "0000000000000007", "LENGTH_BOUND", "return-path.bitmap.size", 6],
    ["a bitmap of an exbibyte", "000500020161" + "1000000000000000", "LENGTH_BOUND", "return-path.bitmap.size", 6],
    [
      "another end mark",
      "000500020161" + "0000000000000000" + "0123456789abcdee",
      "PROTOCOL_MESSAGE",
      "return-path.bitmap.end",
      14,
    ],
  ])("refuses %s, at its place and for good", (_, hex, code, path, offset) => {
    const good = written([{ kind: "pong", value: 7 }]);
    const bad = Uint8Array.from(Buffer.from(hex, "hex"));
    for (const size of [1, 1000]) {
      const reader = new ReturnPathReader({ message: () => {} });
      const bytes = joined([good, bad]);
      const push = (): void => {
        for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
      };
      expect(failureOf(push)).toMatchObject({ code, location: { path, offset: good.length + offset } });
      expect(failureOf(() => reader.push(good))).toMatchObject({ code });
    }
  });

  it("compares a bitmap's length with its block, before a byte of it is taken", () => {
    const sizes = new Map([["pc.ram", 16]]);
    const reader = () => new ReturnPathReader({ message: () => {}, bitmapBytes: (idstr) => sizes.get(idstr) });
    const head = (idstr: string, length: number) =>
      written([{ kind: "received-bitmap", idstr, bitmap: new Uint8Array(length) }]);
    reader().push(head("pc.ram", 16));
    expect(failureOf(() => reader().push(head("pc.ram", 8).subarray(0, 19)))).toMatchObject({
      code: "LENGTH_BOUND",
      expected: "16 bytes",
    });
    expect(failureOf(() => reader().push(head("other", 16).subarray(0, 18)))).toMatchObject({
      code: "RAM_BLOCK_UNKNOWN",
      found: "other",
    });
  });

  it("refuses to write what the format cannot hold", () => {
    const writer = new ReturnPathWriter();
    expect(
      failureOf(() => writer.write({ kind: "received-bitmap", idstr: "a", bitmap: new Uint8Array(7) })),
    ).toMatchObject({ code: "DEFINITION_INVALID" });
    const idstr = "x".repeat(256);
    expect(failureOf(() => writer.write({ kind: "request-pages", idstr, start: 0, length: 1 }))).toMatchObject({
      code: "LENGTH_BOUND",
    });
  });
});

describe("the commands", () => {
  const ranges = Array.from({ length: 25 }, (_, i) => ({ start: i * 0x1_0000_0000, length: 4096 * (i + 1) }));

  it("are read as they were written", () => {
    expect(decodeCommand(openReturnPath)).toEqual({ kind: "open-return-path" });
    expect(decodeCommand(ping(0x42))).toEqual({ kind: "ping", value: 0x42 });
    const pages = { pageSizes: 0x20_1000, targetPageBytes: 4096 };
    expect(decodeCommand(postcopyAdvise(pages))).toEqual({ kind: "postcopy-advise", pages });
    expect(decodeCommand(postcopyAdvise(undefined))).toEqual({ kind: "postcopy-advise", pages: undefined });
    expect(decodeCommand(postcopyListen)).toEqual({ kind: "postcopy-listen" });
    expect(decodeCommand(postcopyRun)).toEqual({ kind: "postcopy-run" });
    expect(decodeCommand(postcopyResume)).toEqual({ kind: "postcopy-resume" });
    expect(decodeCommand(packaged(0xffff_ffff))).toEqual({ kind: "packaged", bytes: 0xffff_ffff });
    expect(decodeCommand(recvBitmap("pc.ram"))).toEqual({ kind: "recv-bitmap", idstr: "pc.ram" });
  });

  it("discard at most twelve ranges each, as QEMU's do", () => {
    const discards = [...ramDiscards("pc.ram", ranges)].map((command) => decodeCommand(command));
    expect(discards.map((one) => (one.kind === "ram-discard" ? one.ranges.length : 0))).toEqual([12, 12, 1]);
    expect(discards.flatMap((one) => (one.kind === "ram-discard" ? one.ranges : []))).toEqual(ranges);
    expect([...ramDiscards("pc.ram", [])]).toEqual([]);
    expect(decodeCommand(ramDiscardNothing("pc.ram"))).toEqual({
      kind: "ram-discard",
      idstr: "pc.ram",
      ranges: [{ start: 0, length: 0 }],
    });
  });

  it.skipIf(!haveStreams())("of QEMU 7.2 in post-copy are read, and written to the same bytes", () => {
    const seen: string[] = [];
    const commands = commandsOf(readStream("tiny-postcopy-7.2.stream"));
    for (const command of commands) {
      const live = decodeCommand(command);
      seen.push(live.kind);
      expect(Buffer.compare(rewritten(command), command.payload)).toBe(0);
    }
    expect([...new Set(seen)]).toEqual(["open-return-path", "ping", "postcopy-advise", "ram-discard", "packaged"]);
  });

  it.each<[string, QemuCommand, string, string, number]>([
    ["an unknown number", { command: 99, payload: new Uint8Array(0) }, "COMMAND_UNKNOWN", "command", 101],
    ["a short PING", { command: 2, payload: new Uint8Array(3) }, "COMMAND_LENGTH", "command.length", 103],
    ["an ADVISE of 8 bytes", { command: 3, payload: new Uint8Array(8) }, "COMMAND_LENGTH", "command.length", 103],
    [
      "a DISCARD of no whole range",
      { command: 6, payload: Uint8Array.of(0, 1, 97, 0, 1) },
      "COMMAND_LENGTH",
      "command.length",
      103,
    ],
    [
      "a DISCARD of another version",
      { command: 6, payload: Uint8Array.of(1, 1, 97, 0) },
      "FIELD_CHECK",
      "ram-discard.version",
      105,
    ],
    [
      "a DISCARD whose name does not end",
      { command: 6, payload: Uint8Array.of(0, 1, 97, 9) },
      "FIELD_CHECK",
      "ram-discard.idstr",
      108,
    ],
    ["an empty RECV_BITMAP", { command: 10, payload: new Uint8Array(0) }, "COMMAND_LENGTH", "command.length", 103],
    [
      "a RECV_BITMAP of a longer name",
      { command: 10, payload: Uint8Array.of(2, 97) },
      "COMMAND_LENGTH",
      "command.length",
      103,
    ],
    [
      "an offset beyond every block",
      { command: 6, payload: Uint8Array.of(0, 1, 97, 0, ...new Uint8Array(16).fill(0xff)) },
      "LENGTH_BOUND",
      "ram-discard.ranges[0].start",
      109,
    ],
  ])("refuse %s", (_, command, code, path, offset) => {
    expect(failureOf(() => decodeCommand(command, 100))).toMatchObject({ code, location: { path, offset } });
  });
});

/** Those before the package and its own: behind it come pages. */
function commandsOf(stream: Uint8Array): QemuCommand[] {
  const commands: QemuCommand[] = [];
  const reader = new StreamReader({
    open: () => undefined,
    footerScan: true,
    vmdesc: "none",
    holdBytes: 1 << 24,
    command: (command) => void commands.push(command),
  });
  reader.push(stream);
  return commands.slice(0, commands.findIndex(({ command }) => command === commandNumber.packaged) + 1);
}

/** The payload, made anew of what was read. */
function rewritten(command: QemuCommand): Uint8Array {
  const live = decodeCommand(command);
  switch (live.kind) {
    case "ping":
      return ping(live.value).payload;
    case "postcopy-advise":
      return postcopyAdvise(live.pages).payload;
    case "ram-discard":
      return ([...ramDiscards(live.idstr, live.ranges)][0] as QemuCommand).payload;
    case "packaged":
      return packaged(live.bytes).payload;
    default:
      return command.payload;
  }
}

function failureOf(act: () => void): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}
