// RAM in every encoding that QEMU 7.2 takes, loaded by it and compared with what was sent; and QEMU's own, taken by us.
import { Writer } from "@godwit/core";
import { findVmdesc, StreamReader } from "@godwit/core/stream";
import {
  type MultifdReceiverInit,
  multifdSender,
  type PageCompression,
  type RamPhase,
  type RamReceived,
  type RamSection,
  type RewrittenRam,
  ramWalker,
  rewriteRam,
  writeRamRecord,
  zlibCompression,
  zstdCompression,
} from "@godwit/ram-dirty-tracker";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { deflateRaw, inflateRaw } from "../src/codecs.ts";
import { counts } from "../src/counts.ts";
import { Qemu } from "../src/qemu.ts";
import { fileOf, haveQemu } from "./support/live.ts";
import { receiver } from "./support/receiver.ts";
import { listenAt, sendTo } from "./support/sockets.ts";
import {
  differing,
  expectToCountFrom,
  guestPages,
  memoryBytes,
  pageBytes,
  pagesFrom,
  pagesInPlace,
  pagesTo,
  passIn,
  tinyBlocks,
  tinyOptions,
  tinyStream,
} from "./support/tiny.ts";
import { zstdDecompressor } from "./support/zstd.ts";

const target = "x86_64";
const channelCount = 3;
const compressions: Readonly<Record<"none" | "zlib" | "zstd", PageCompression>> = {
  none: { method: "none" },
  zlib: zlibCompression({ deflateRaw, inflateRaw }),
  zstd: zstdCompression({ decompressor: zstdDecompressor }),
};

/** Memory of other rounds: few bytes a page, and some pages that have nothing in common with what they become. */
const rounds = [1, 2, 3].map((round) => (memory: ReadonlyMap<string, Uint8Array>) => {
  const ram = memory.get("pc.ram") as Uint8Array;
  for (let at = pagesFrom; at < pagesTo; at += pageBytes) {
    const page = ram.subarray(at, at + pageBytes);
    const number = at / pageBytes;
    if (number % 64 === round) page.fill(0);
    else if (number % 64 === 10 + round) for (let i = 0; i < pageBytes; i += 2) page[i] = round;
    else for (let i = 0; i < 40; i += 8) page[(number * 16 + i) % pageBytes] = round;
  }
});

const ramOf = ({ blocks }: RewrittenRam): Uint8Array => blocks.get("pc.ram")?.bytes as Uint8Array;

/** QEMU, which has just loaded, holds what was sent; and its guest goes on from there. */
async function expectArrived(qemu: Qemu, ram: Uint8Array): Promise<void> {
  const arrived = await qemu.memory(memoryBytes);
  expect(pagesInPlace(arrived)).toBe(guestPages);
  expect(differing(arrived, ram)).toEqual([]);
  await expectToCountFrom(qemu, passIn(ram));
}

describe.skipIf(!haveStreams() || !haveQemu(target))("RAM of ours in QEMU", () => {
  const stream = haveStreams() ? tinyStream() : new Uint8Array(0);
  const options = haveStreams() ? tinyOptions() : [];
  const waiting = (init: Partial<Parameters<typeof Qemu.start>[0]> = {}) =>
    Qemu.start({ target, options, incoming: true, stopped: true, ...init });

  it("as pages", async () => {
    const made = rewriteRam({ stream });
    await using qemu = await waiting();
    await qemu.load(made.stream);
    await expectArrived(qemu, ramOf(made));
    // That the comparison can see: one byte of one page.
    const other = ramOf(made).slice();
    other.set([0xff], pagesTo - 1);
    expect(differing(other, ramOf(made))).toEqual([pagesTo - pageBytes]);
  });

  it("as deltas over several rounds, pages that overflow and zero pages among them", async () => {
    const made = rewriteRam({ stream, xbzrle: { cacheBytes: 4 << 20 }, rounds });
    expect(made.statistics.xbzrlePages).toBeGreaterThan(1000);
    expect(made.statistics.xbzrleCache?.overflow).toBeGreaterThan(0);
    await using qemu = await waiting({ capabilities: ["xbzrle"] });
    await qemu.load(made.stream);
    await expectArrived(qemu, ramOf(made));
  });

  it("as a delta that is spoiled: refused", async () => {
    const spoiled = rewriteRam({ stream, xbzrle: {}, rounds }).stream.slice();
    const delta = lastDelta(spoiled);
    // The length of the changed run, behind the unchanged one's.
    spoiled[delta + ((spoiled[delta] as number) < 0x80 ? 1 : 2)] = 0;
    await using qemu = await waiting({ capabilities: ["xbzrle"] });
    await expect(qemu.load(spoiled)).rejects.toThrow(/XBZRLE page - decode error/);
  });

  it.each(["none", "zlib", "zstd"] as const)("by three channels of multifd, compression %s", async (method) => {
    const channels: Uint8Array[][] = Array.from({ length: channelCount }, () => []);
    const multifd = multifdSender({
      channels: channels.map((pieces) => (bytes: Uint8Array) => void pieces.push(bytes)),
      sync: "section",
      zeroPages: "records",
      compression: compressions[method],
    });
    const made = rewriteRam({ stream, multifd, rounds: rounds.slice(0, 1) });
    await using qemu = await waiting({
      capabilities: ["multifd"],
      parameters: { "multifd-channels": channelCount, "multifd-compression": method },
    });
    await sendTo(await qemu.listen(), [made.stream, ...channels.map((pieces) => Buffer.concat(pieces))]);
    await qemu.migrated();
    await expectArrived(qemu, ramOf(made));
  });

  it("without a block that both have as a file", async () => {
    const made = rewriteRam({
      stream,
      writtenList: { ignoreShared: true },
      capabilities: ["x-ignore-shared"],
      shared: new Map([["pc.ram", { gpa: 0 }]]),
    });
    expect(made.statistics.normalPages).toBeLessThan(guestPages);
    const backend = `memory-backend-file,id=pc.ram,mem-path=FOLDER/shared,size=${memoryBytes},share=on`;
    const machine = options.map((word) => (word.startsWith("pc-q35") ? `${word},memory-backend=pc.ram` : word));
    await using qemu = await waiting({
      options: [...machine, "-object", backend],
      capabilities: ["x-ignore-shared"],
    });
    fileOf(qemu.folder, "shared", ramOf(made));
    await qemu.load(made.stream);
    await expectArrived(qemu, ramOf(made));
  });
});

/** Where the content of the last delta of a stream begins. */
function lastDelta(stream: Uint8Array): number {
  const out = new Writer();
  let contentBytes = 0;
  let payload = new Uint8Array(0);
  const walker = ramWalker({
    payload(_, bytes) {
      payload = bytes.slice();
    },
    onRecord(record) {
      if (record.kind !== "xbzrle") return;
      out.flush();
      writeRamRecord(out, record, payload);
      contentBytes = payload.length;
    },
  });
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream)?.vmdesc ?? "none",
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" ? walker.decoder(phase as RamPhase, previous as RamSection | undefined) : undefined,
  });
  reader.push(stream);
  const record = out.flush();
  const at = Buffer.from(stream.buffer, stream.byteOffset, stream.length).lastIndexOf(record);
  return at + record.length - contentBytes;
}

/** Takes the machine of a QEMU that runs, while `act` sees to its pace; its memory, compared with what QEMU has left. */
async function taken(qemu: Qemu, receive?: MultifdReceiverInit, act?: () => Promise<void>): Promise<RamReceived> {
  const ours = receiver(tinyBlocks(), receive);
  const path = `${qemu.folder}/ours`;
  const server = await listenAt(path, ours.open);
  const whole = async (): Promise<void> => {
    await qemu.qmp("migrate", { uri: `unix:${path}` });
    await act?.();
    await qemu.migrated();
    await ours.done;
  };
  try {
    await Promise.race([whole(), server.failed]);
  } finally {
    await server.close();
  }
  const ram = ours.memory().get("pc.ram") as Uint8Array;
  expect(pagesInPlace(ram)).toBe(guestPages);
  expect(differing(ram, await qemu.memory(memoryBytes))).toEqual([]);
  const { normal, duplicate } = await sentBy(qemu);
  const received = ours.statistics().received as RamReceived;
  expect(received).toMatchObject({ missingPages: 0, zeroPages: duplicate });
  // By channels a few more pages were seen to come than QEMU 7.2 counts; their content is compared above.
  if (receive === undefined) expect(received.normalPages).toBe(normal);
  else expect(received.normalPages).toBeGreaterThanOrEqual(normal);
  return received;
}

describe.skipIf(!haveStreams() || !haveQemu(target))("QEMU's RAM in ours", () => {
  const stream = haveStreams() ? tinyStream() : new Uint8Array(0);
  const options = haveStreams() ? tinyOptions() : [];

  it.each(["none", "zlib", "zstd"] as const)("by three channels of multifd, compression %s", async (method) => {
    await using qemu = await Qemu.start({ target, options, stream });
    await qemu.allow(["multifd"], { "multifd-channels": channelCount, "multifd-compression": method });
    const { xbzrlePages } = await taken(qemu, {
      channels: channelCount,
      sync: "section",
      compression: compressions[method],
    });
    expect(xbzrlePages).toBe(0);
  });

  it("as deltas, in the third round", async () => {
    await using qemu = await Qemu.start({ target, options, stream });
    await qemu.allow(["xbzrle"], { "max-bandwidth": slow, "downtime-limit": 1 });
    const { xbzrlePages } = await taken(qemu, undefined, async () => {
      // Every page is written in each round; the second one sends them whole, and fills the cache.
      await nextPasses(qemu);
      await qemu.allow([], { "max-bandwidth": fast });
      await qemu.until(async () => (await sentBy(qemu))["dirty-sync-count"] > 1, "a second round");
      await qemu.allow([], { "max-bandwidth": slow });
      await nextPasses(qemu);
      await qemu.allow([], { "max-bandwidth": 1 << 30 });
    });
    expect(xbzrlePages).toBeGreaterThan(0);
  });
});

/** All of the guest's pages in some seconds, and in half of one. Bytes a second. */
const slow = 1 << 20;
const fast = 16 << 20;

/** The guest writes all its pages at least once. */
async function nextPasses(qemu: Qemu): Promise<void> {
  const before = counts(qemu.serial).length;
  await qemu.until(() => counts(qemu.serial).length >= before + 2, "passes");
}

interface SentByQemu {
  readonly normal: number;
  readonly duplicate: number;
  readonly "dirty-sync-count": number;
}

async function sentBy(qemu: Qemu): Promise<SentByQemu> {
  const nothing = { normal: 0, duplicate: 0, "dirty-sync-count": 0 };
  return (await qemu.qmp<{ ram?: SentByQemu }>("query-migrate")).ram ?? nothing;
}
