// A whole stream with its RAM sent in another way holds the same memory, and all else as it was.
import { findVmdesc, type StreamEvent, StreamReader } from "@godwit/core/stream";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { beforeAll, describe, expect, it } from "vitest";
import {
  listFormat,
  multifdSender,
  type RamSection,
  ramErrorCodes,
  ramImage,
  rewriteRam,
  zlibCompression,
} from "../src/index.ts";
import { concat, inflateRaw } from "./support/codecs.ts";
import { page, sameBytes } from "./support/rig.ts";

/** The elements of a stream that are not RAM, and the memory. */
function taken(stream: Uint8Array, capabilities: readonly string[] = []) {
  const image = ramImage({ inflateRaw, list: listFormat(capabilities) });
  const reader = new StreamReader({
    vmdesc: findVmdesc(stream)?.vmdesc ?? "none",
    open: (head, phase, previous) =>
      head.idstr === "ram" && phase !== "full"
        ? image.walker.decoder(phase, previous as RamSection | undefined)
        : undefined,
  });
  const events: StreamEvent[] = [...reader.push(stream), ...reader.end()];
  const others = events.flatMap((event) => {
    if (!("bytes" in event) || (event.type === "section" && event.head.idstr === "ram")) return [];
    return [stream.subarray(event.offset, event.offset + event.bytes)];
  });
  const ram = events.flatMap((event) => (event.type === "section" && event.head.idstr === "ram" ? [event] : []));
  return { others, ram, memories: Array.from(image.blocks.values(), ({ bytes }) => bytes), events };
}

const setPass = (pass: number) => (memory: ReadonlyMap<string, Uint8Array>) => {
  const ram = memory.get("pc.ram") ?? expect.unreachable("pc.ram");
  for (let at = 0x20_0000; at < 0xa0_0000; at += page) ram[at + 4] = pass;
};

describe.skipIf(!haveStreams())("a stream with its RAM sent again", () => {
  let stream = new Uint8Array(0);
  let before: ReturnType<typeof taken>;
  beforeAll(() => {
    stream = readStream("tiny-precopy-7.2.stream") as Uint8Array<ArrayBuffer>;
    before = taken(stream);
  });

  it("in one go", () => {
    const { stream: rewritten } = rewriteRam({ stream });
    const after = taken(rewritten);
    expect(sameBytes(after.memories, before.memories)).toBe(true);
    expect(sameBytes(after.others, before.others)).toBe(true);
    expect(after.ram.map(({ phase }) => phase)).toEqual(["start", "end"]);
  });

  it("by deltas, in rounds of other memory", () => {
    const rounds = [1, 2, 3].map(setPass);
    const { stream: rewritten, statistics } = rewriteRam({ stream, xbzrle: {}, rounds });
    const after = taken(rewritten);
    expect(sameBytes(after.memories, before.memories)).toBe(true);
    expect(sameBytes(after.others, before.others)).toBe(true);
    expect(after.ram.map(({ phase }) => phase)).toEqual(["start", "part", "part", "part", "end"]);
    expect(statistics.xbzrlePages).toBe(2 * 2048);
    expect(statistics.xbzrleCache).toMatchObject({ pages: 2 * 2048, "cache-miss": 2048 });
  });

  it("from compressed pages, and by channels", () => {
    const compressed = readStream("tiny-compress-7.2.stream");
    const channels: Uint8Array[][] = [[], []];
    const multifd = multifdSender({
      channels: channels.map((pieces) => (bytes: Uint8Array) => void pieces.push(bytes)),
      sync: "section",
      zeroPages: "records",
      compression: zlibCompression({}),
    });
    const { stream: rewritten, statistics, blocks } = rewriteRam({ stream: compressed, inflateRaw, multifd });
    const after = taken(rewritten);
    expect(sameBytes(after.others, taken(compressed).others)).toBe(true);
    expect(statistics).toMatchObject({ normalPages: 2171, zeroPages: 4103 });
    expect(concat(channels.flat()).length).toBe(statistics.multifdBytes);
    expect([...blocks.keys()][0]).toBe("pc.ram");
  });

  it("without a shared block, and with the capability in the configuration", () => {
    const { stream: rewritten } = rewriteRam({
      stream,
      writtenList: { ignoreShared: true },
      capabilities: ["x-ignore-shared"],
      shared: new Map([["pc.ram", { gpa: 0 }]]),
    });
    const after = taken(rewritten, ["x-ignore-shared"]);
    const configuration = after.events.find((event) => event.type === "configuration");
    expect(configuration).toMatchObject({
      configuration: { capabilities: ["x-ignore-shared"], machineType: "pc-q35-7.2" },
    });
    expect(sameBytes(after.others.slice(1), before.others.slice(1))).toBe(true);
    expect(sameBytes(after.memories.slice(1), before.memories.slice(1))).toBe(true);
    expect(after.memories[0]?.every((byte) => byte === 0)).toBe(true);
  });

  it("is refused where it has none, or asks for more memory than allowed", () => {
    const cut = rewriteRam({ stream }).stream;
    expect(() => rewriteRam({ stream: cut, boundBytes: 1 << 20 })).toThrow(
      expect.objectContaining({ code: "LENGTH_BOUND" }),
    );
    expect(() => rewriteRam({ stream: Uint8Array.of(0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3, 0) })).toThrow(
      expect.objectContaining({ code: "RAM_ORDER" }),
    );
  });
});

it("the plugin's own codes are named once", () => {
  expect(Object.keys(ramErrorCodes)).toEqual(Object.keys(ramErrorCodes).toSorted());
});
