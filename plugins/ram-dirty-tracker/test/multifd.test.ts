// Multifd both ways: any memory by any number of channels and each compression; the syncs; and every check of a channel.
import { Cursor, isMigrationError, type MigrationError } from "@godwit/core";
import {
  encodeHello,
  encodePacket,
  type ListedBlock,
  type MultifdReceiver,
  type MultifdReceiverInit,
  type MultifdSync,
  multifdPacket,
  multifdReceiver,
  multifdSender,
  noCompression,
  type PacketInit,
  type PageCompression,
  storedDeflate,
  zlibCompression,
  zstdCompression,
} from "@godwit/ram-dirty-tracker";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, deflateRaw, inflateRaw, zstdDecompressor } from "./support/codecs.ts";
import { feed } from "./support/feed.ts";
import {
  bytesOf,
  eos,
  listOf,
  name,
  page,
  pattern,
  rig,
  sameBytes,
  type TestBlock,
  testBlock,
  word,
} from "./support/rig.ts";

const compressions: Record<string, PageCompression> = {
  none: noCompression,
  zlib: zlibCompression({ inflateRaw, deflateRaw }),
  stored: zlibCompression({ inflateRaw }),
  zstd: zstdCompression({ decompressor: zstdDecompressor }),
};

const codes = (run: () => unknown): MigrationError => {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};

/** A source with channels, and what went to each. */
function source(
  blocks: readonly TestBlock[],
  channels: number,
  sync: MultifdSync,
  zeroPages: "records" | "packets",
  compression: PageCompression,
) {
  const sent: Uint8Array[][] = Array.from({ length: channels }, () => []);
  const multifd = multifdSender({
    channels: sent.map((pieces) => (bytes: Uint8Array) => void pieces.push(bytes)),
    sync,
    zeroPages,
    compression,
  });
  const { handler, offer } = rig(
    blocks.map(({ block }) => block),
    { multifd: { send: multifd } },
  );
  return { handler, offer, sent };
}

function load(
  blocks: readonly TestBlock[],
  sections: readonly (readonly ["start" | "part" | "end", Uint8Array])[],
  channels: readonly Uint8Array[],
  init: MultifdReceiverInit,
  chunkBytes: number,
) {
  const { stage, offer } = rig(
    blocks.map(({ block }) => block),
    { multifd: { receive: init } },
  );
  const staged = stage();
  const receiver = offer.multifd() as MultifdReceiver;
  const inputs = channels.map((bytes) => ({ bytes, at: 0, input: receiver.accept() }));
  let previous: unknown;
  for (const [phase, data] of sections) {
    const decoder = staged.decoder(phase, 4, previous);
    const cursor = new Cursor(data);
    while (!decoder.resume(cursor)) {
      // Main is all there: it can only wait for its channels, which come as far as they may.
      expect(decoder.path()).toMatch(/^records\[\d+\]\.sync$/);
      for (const each of inputs) {
        if (each.input.isHeld) continue;
        if (each.at >= each.bytes.length) throw new Error("a channel ends before its SYNC");
        each.input.push(each.bytes.subarray(each.at, each.at + chunkBytes));
        each.at += chunkBytes;
      }
    }
    previous = decoder.value();
  }
  for (const { input } of inputs) input.end();
  staged.commit();
  return offer.statistics().received;
}

describe("memory by channels", () => {
  const write = fc.record({
    page: fc.nat(299),
    offset: fc.nat(page - 5),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 5 }),
  });

  it.each(Object.keys(compressions))("%s: arrives as it was when the source stopped", (method) => {
    const compression = compressions[method] as PageCompression;
    fc.assert(
      fc.property(
        fc.array(fc.array(write, { maxLength: 40 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom("section" as const, "round" as const),
        fc.constantFrom("records" as const, "packets" as const),
        fc.integer({ min: page, max: 300 * page }),
        fc.constantFrom(999, 65536, 1 << 30),
        (rounds, channels, sync, zeroPages, budget, chunkBytes) => {
          const make = () => [testBlock("pc.ram", 200 * page), testBlock("vga.vram", 100 * page)];
          const blocks = make();
          const { handler, offer, sent } = source(blocks, channels, sync, zeroPages, compression);
          const sections: ["start" | "part" | "end", Uint8Array][] = [["start", bytesOf((out) => handler.setup(out))]];
          for (const writes of rounds) {
            for (const { page: at, offset, bytes } of writes) {
              const block = blocks[at < 200 ? 0 : 1];
              block?.write((at % 200) * page + offset, bytes);
            }
            handler.pending(true);
            sections.push(["part", bytesOf((out) => handler.iterate(out, budget))]);
          }
          sections.push(["end", bytesOf((out) => void handler.complete(out, 1 << 30))]);
          handler.cleanup(true);
          const target = make();
          const received = load(target, sections, sent.map(concat), { channels, sync, compression }, chunkBytes);
          expect(
            sameBytes(
              target.map(({ memory }) => memory()),
              blocks.map(({ memory }) => memory()),
            ),
          ).toBe(true);
          const statistics = offer.statistics().sent;
          expect(received).toMatchObject({
            normalPages: statistics?.normalPages,
            zeroPages: statistics?.zeroPages,
            missingPages: 0,
          });
          expect(statistics?.multifdBytes).toBe(sent.reduce((sum, pieces) => sum + concat(pieces).length, 0));
        },
      ),
      { seed: 21, numRuns: 12 },
    );
  });

  it("compresses with the past of its channel: what the last 32 KiB were", () => {
    const seen: (Uint8Array | undefined)[] = [];
    const stream = zlibCompression({
      deflateRaw: (data, dictionary) => {
        seen.push(dictionary);
        return storedDeflate(data, dictionary);
      },
    }).compressor?.();
    const pieces = [1, 2].map(pattern);
    const long = concat([3, 4, 5, 6, 7, 8, 9, 10, 11].map(pattern));
    for (const piece of [...pieces, long, pattern(12)]) stream?.push(piece, 1 << 20);
    expect(seen).toEqual([undefined, pattern(1), concat(pieces), long.subarray(page)]);
  });

  it("uses its channels in turn, and waits for every one of them, those not connected yet too", () => {
    const blocks = [testBlock("pc.ram", 512 * page)];
    blocks[0]?.memory().fill(1);
    const { handler, sent } = source(blocks, 2, "section", "records", noCompression);
    bytesOf((out) => handler.setup(out));
    bytesOf((out) => void handler.complete(out, 1 << 30));
    expect(sent.map((pieces) => concat(pieces).length)).toEqual(Array(2).fill(64 + 4 * 1344 + 256 * page));

    const { stage, offer } = rig([testBlock("pc.ram", page).block], {
      multifd: { receive: { channels: 2, sync: "section" } },
    });
    stage();
    const receiver = offer.multifd() as MultifdReceiver;
    receiver.accept().push((sent[0] as Uint8Array[])[0] as Uint8Array);
    const first = (sent[0] as Uint8Array[])[1] as Uint8Array;
    const [one, two] = [receiver, receiver.accept()];
    expect(one.mayPass("eos")).toBe(false);
    two.push((sent[1] as Uint8Array[])[0] as Uint8Array);
    two.push(first);
    expect(receiver.isSynced).toBe(false);
    const alone = multifdReceiver(
      { channels: 2, sync: "section" },
      { find: () => undefined, opening() {}, store() {}, arrive() {}, fill() {} },
    );
    const only = alone.accept();
    only.push(concat([(sent[0] as Uint8Array[])[0] as Uint8Array, first]));
    expect(only.isHeld).toBe(true);
    expect(alone.mayPass("eos")).toBe(false);
  });

  it("synchronises where the machine type says: behind each section, or by records", () => {
    const blocks = () => [testBlock("pc.ram", 4 * page)];
    const section = source(blocks(), 2, "section", "records", noCompression);
    expect(bytesOf((out) => section.handler.setup(out)).length).toBe(8 + 7 + 8 + 8);
    expect(section.sent.map((pieces) => concat(pieces).length)).toEqual([64 + 1344, 64 + 1344]);
    const round = source(blocks(), 2, "round", "packets", noCompression);
    expect([...bytesOf((out) => round.handler.setup(out)).slice(-16)]).toEqual([...word(0, 0x200), ...word(0, 0x10)]);
    // A round is complete: all zero pages are in one packet, and main has no page at all.
    expect([...bytesOf((out) => void round.handler.iterate(out, 1 << 30))]).toEqual([
      ...word(0, 0x200),
      ...word(0, 0x10),
    ]);
    expect([...bytesOf((out) => void round.handler.complete(out, 1 << 30))]).toEqual([
      ...word(0, 0x200),
      ...word(0, 0x10),
    ]);
    expect(round.sent.map((pieces) => concat(pieces).length)).toEqual([64 + 1344 * 4, 64 + 1344 * 3]);
  });
});

describe("a channel that goes on when the attempt is over", () => {
  it.each([
    ["commit", "the rest of a page"],
    ["commit", "a zero page"],
    ["discard", "the rest of a page"],
    ["discard", "a zero page"],
  ] as const)("is refused behind %s with %s, and fills no memory", (over, late) => {
    const target = testBlock("pc.ram", 4 * page);
    const { stage, offer } = rig([target.block], { multifd: { receive: { channels: 1, sync: "round" } } });
    const staged = stage();
    const input = (offer.multifd() as MultifdReceiver).accept();
    const fed = feed(
      staged.decoder("start", 4, undefined),
      Uint8Array.from(listOf([["pc.ram", 4 * page]])),
      0,
      1 << 20,
    );
    const header = (offset: number, zero: boolean) =>
      encodePacket(
        multifdPacket(
          {
            flags: 0,
            pagesAlloc: 128,
            packetNumber: 0n,
            idstr: "pc.ram",
            normalOffsets: zero ? [] : [offset],
            zeroOffsets: zero ? [offset] : [],
            nextPacketBytes: zero ? 0 : page,
          },
          page,
        ),
      );
    const hello = encodeHello({ uuid: new Uint8Array(16), channel: 0 });
    input.push(concat([hello, header(0, false), pattern(1)]));
    const rest = late === "a zero page" ? header(page, true) : pattern(2).subarray(99);
    if (late !== "a zero page") input.push(concat([header(page, false), pattern(2).subarray(0, 99)]));
    feed(staged.decoder("end", 4, fed?.value), Uint8Array.from(eos), 0, 1 << 20);
    staged[over]();
    const before = { memory: target.memory().slice(), ...offer.statistics().received };
    expect(before.memory.subarray(0, page)).toEqual(over === "commit" ? pattern(1) : new Uint8Array(page));
    expect(codes(() => input.push(rest))).toMatchObject({
      code: "ATTEMPT_ENDED",
      location: { section: "ram/0", path: "channels[0].packets[1]" },
    });
    expect({ memory: target.memory(), ...offer.statistics().received }).toEqual(before);
  });
});

describe("a channel that is refused", () => {
  const blocks: ListedBlock[] = [{ idstr: "pc.ram", length: 8 * page }];
  /** A receiver over nothing, and its only channel. */
  const channel = (init: Partial<MultifdReceiverInit> = {}) => {
    const stored: [number, number][] = [];
    const receiver = multifdReceiver(
      { channels: 2, sync: "section", ...init },
      {
        find: (idstr) => blocks.find((block) => block.idstr === idstr),
        opening() {},
        store: (_, at, __, from, to) => void stored.push([at, to - from]),
        arrive() {},
        fill() {},
      },
    );
    return { receiver, input: receiver.accept(), stored };
  };
  const hello = encodeHello({ uuid: new Uint8Array(16), channel: 1 });
  const packet = (more: Partial<PacketInit> = {}) =>
    encodePacket(
      multifdPacket(
        {
          flags: 0,
          pagesAlloc: 128,
          packetNumber: 0n,
          idstr: "pc.ram",
          normalOffsets: [page],
          zeroOffsets: [],
          nextPacketBytes: page,
          ...more,
        },
        page,
      ),
    );

  it.each([
    ["another magic number", 0, [0x51], "hello.magic", 0],
    ["another version", 7, [2], "hello.version", 4],
  ])("by its hello: %s", (_, at, bytes, path, offset) => {
    const bad = hello.slice();
    bad.set(bytes, at);
    expect(codes(() => channel().input.push(bad))).toMatchObject({
      code: "MULTIFD_HELLO",
      location: { path: `channels[?].${path}`, offset },
    });
  });

  it("by its hello: another machine's UUID, a number beyond the channels, a number twice, one connection too many", () => {
    const uuid = Uint8Array.from({ length: 16 }, (_, i) => i);
    const other = codes(() => channel().input.push(encodeHello({ uuid, channel: 0 })));
    expect(other).toMatchObject({ code: "MULTIFD_HELLO", location: { path: "channels[?].hello.uuid" } });
    expect(other.found).toBe("000102030405060708090a0b0c0d0e0f");
    channel({ uuid }).input.push(encodeHello({ uuid, channel: 0 }));
    const beyond = codes(() => channel().input.push(encodeHello({ uuid: new Uint8Array(16), channel: 2 })));
    expect(beyond).toMatchObject({ code: "MULTIFD_HELLO", location: { path: "channels[?].hello.id" }, found: "2" });
    const { receiver, input } = channel();
    input.push(hello);
    expect(codes(() => receiver.accept().push(hello))).toMatchObject({
      code: "MULTIFD_HELLO",
      expected: "each channel once",
    });
    expect(codes(() => receiver.accept())).toMatchObject({ code: "MULTIFD_HELLO", found: "3" });
  });

  const put = (at: number, bytes: readonly number[]) => {
    const bad = packet();
    bad.set(bytes, at);
    return bad;
  };
  it.each([
    ["magic", put(0, [0]), "MULTIFD_PACKET", "magic", 0],
    ["version", put(7, [2]), "MULTIFD_PACKET", "version", 4],
    ["a device's state", put(11, [0x40]), "MULTIFD_PACKET", "flags", 8],
    ["flags that no version has", put(8, [1]), "MULTIFD_PACKET", "flags", 8],
    ["pages of another compression", put(11, [2]), "MULTIFD_PACKET", "flags", 8],
    ["more room than a packet has", put(15, [129]), "MULTIFD_PACKET", "pages_alloc", 12],
    ["more pages than its room", packet({ pagesAlloc: 0 }), "MULTIFD_PACKET", "normal_pages", 16],
    ["more zero pages than the rest", put(35, [128]), "MULTIFD_PACKET", "zero_pages", 32],
    [
      "data of another length than its pages",
      packet({ nextPacketBytes: page + 1 }),
      "MULTIFD_PACKET",
      "next_packet_size",
      20,
    ],
    ["a name without an end", put(64, Array<number>(256).fill(65)), "MULTIFD_PACKET", "ramblock", 64],
    ["an unknown block", packet({ idstr: "pc.rom" }), "RAM_BLOCK_UNKNOWN", "ramblock", 64],
    ["a page beyond its block", packet({ normalOffsets: [8 * page] }), "RAM_OFFSET", "offsets[0]", 320],
    ["an offset that is no page's", packet({ normalOffsets: [12] }), "RAM_OFFSET", "offsets[0]", 320],
    ["a zero page beyond its block", packet({ zeroOffsets: [2 ** 40] }), "RAM_OFFSET", "offsets[1]", 328],
  ] as const)("by a packet: %s", (_, bad, code, field, offset) => {
    for (const chunkBytes of [100, 1 << 20]) {
      const { input, stored } = channel();
      const first = concat([hello, packet(), pattern(1)]);
      input.push(first);
      expect(stored).toEqual([[page, page]]);
      const rest = concat([bad, pattern(2)]);
      const error = codes(() => {
        for (let at = 0; at < rest.length; at += chunkBytes) input.push(rest.subarray(at, at + chunkBytes));
      });
      expect(error).toMatchObject({
        code,
        location: { section: "ram/0", path: `channels[1].packets[1].${field}`, offset: first.length + offset },
      });
      expect(stored).toHaveLength(1);
    }
  });

  it("by its end: within hello, header or data, and not behind a packet or at a SYNC", () => {
    const whole = concat([hello, packet(), pattern(1)]);
    for (const [cut, path] of [
      [0, "channels[?].hello"],
      [63, "channels[?].hello"],
      [65, "channels[1].packets[0].header"],
      [64 + 1344 + 5, "channels[1].packets[0].data"],
    ] as const) {
      const { input } = channel();
      input.push(whole.subarray(0, cut));
      expect(codes(() => input.end())).toMatchObject({ code: "STREAM_TRUNCATED", location: { path, offset: cut } });
    }
    const { input } = channel();
    input.push(whole);
    input.end();
    const held = channel();
    held.input.push(concat([hello, packet({ flags: 1, normalOffsets: [], nextPacketBytes: 4096 })]));
    expect(held.input.isHeld).toBe(true);
    held.input.end();
  });

  it("by its data: what does not inflate, gives too little or too much, and a method that nothing here reads", () => {
    const zlib = compressions["zlib"] as PageCompression;
    const data = zlib.compressor?.().push(pattern(3), 1 << 20) as Uint8Array;
    const short = zlib.compressor?.().push(pattern(3).subarray(1), 1 << 20) as Uint8Array;
    const long = zlib.compressor?.().push(concat([pattern(3), pattern(4)]), 1 << 20) as Uint8Array;
    const flushless = data.slice(0, -1);
    const broken = data.slice();
    broken[5] = (broken[5] as number) ^ 0xff;
    broken[6] = (broken[6] as number) ^ 0xff;
    const at = 64 + 1344;
    const push = (bytes: Uint8Array, compression: PageCompression, flags = 2) => {
      const { input, stored } = channel({ compression });
      input.push(concat([hello, packet({ flags, nextPacketBytes: bytes.length }), bytes]));
      return stored;
    };
    expect(push(data, zlib)).toEqual([[page, page]]);
    for (const bad of [short, long, flushless, broken, Uint8Array.of(1, 2, 3)]) {
      expect(codes(() => push(bad, zlib))).toMatchObject({
        code: "PAGE_CODEC",
        location: { path: "channels[1].packets[0].data[pc.ram+0x1000]", offset: at },
      });
    }
    expect(codes(() => push(data, zlibCompression({})))).toMatchObject({ code: "PAGE_CODEC", expected: "zlib" });
    const zstd = compressions["zstd"] as PageCompression;
    expect(codes(() => push(data, zstd, 4)).code).toBe("PAGE_CODEC");
    expect(codes(() => push(new Uint8Array(0), zlib)).location.path).toBe("channels[1].packets[0].next_packet_size");
    expect(codes(() => push(new Uint8Array(1 << 20).fill(1).fill(2), zlib)).code).toBe("PAGE_CODEC");
    expect(codes(() => push(new Uint8Array((1 << 20) + 1), zlib)).location.path).toBe(
      "channels[1].packets[0].next_packet_size",
    );
  });

  it("a bit flipped anywhere is refused, or read as something else, but nothing beside a block is written", () => {
    const zlib = compressions["zlib"] as PageCompression;
    const found = new Set<string>();
    fc.assert(
      fc.property(fc.boolean(), fc.nat(), fc.nat(7), fc.constantFrom(64, 1 << 20), (plain, byte, bit, chunkBytes) => {
        const compression = plain ? noCompression : zlib;
        const data = plain ? pattern(1) : (zlib.compressor?.().push(pattern(1), 1 << 20) as Uint8Array);
        const flags = plain ? 0 : 2;
        const bytes = concat([hello, packet({ flags, nextPacketBytes: data.length, zeroOffsets: [3 * page] }), data]);
        const at = byte % 3 === 0 ? byte % bytes.length : 64 + (byte % 360);
        bytes[at] = (bytes[at] as number) ^ (1 << bit);
        const { input, stored } = channel({ compression });
        try {
          for (let from = 0; from < bytes.length; from += chunkBytes)
            input.push(bytes.subarray(from, from + chunkBytes));
          found.add("read");
        } catch (error) {
          if (!isMigrationError(error)) throw error;
          expect(error.location.path).toMatch(/^channels\[/);
          expect(error.location.offset).toBeDefined();
          found.add(error.code);
        }
        expect(stored.every(([to, length]) => to >= 0 && to + length <= 8 * page)).toBe(true);
      }),
      { seed: 3, numRuns: 600 },
    );
    expect([...found]).toEqual(
      expect.arrayContaining(["read", "MULTIFD_PACKET", "RAM_OFFSET", "RAM_BLOCK_UNKNOWN", "PAGE_CODEC"]),
    );
  });

  it("a page for a block whose memory is shared, by a packet as well", () => {
    const map = [{ gpa: 0, offset: 0, length: 8 * page }];
    const { stage, offer } = rig([testBlock("pc.ram", 8 * page, { map, shared: true }).block], {
      list: { ignoreShared: true },
      multifd: { receive: { channels: 1, sync: "section" } },
    });
    stage();
    const input = offer.multifd()?.accept();
    expect(
      codes(() => input?.push(concat([encodeHello({ uuid: new Uint8Array(16), channel: 0 }), packet()]))),
    ).toMatchObject({
      code: "RAM_BLOCK_MISMATCH",
      location: { path: "channels[0].packets[0]" },
    });
  });
});

describe("what does not go together is refused at definition", () => {
  const send = multifdSender({ channels: [() => {}], sync: "section", zeroPages: "records" });
  const blocks = [testBlock("pc.ram", page).block];
  it.each([
    ["deltas and channels", () => rig(blocks, { xbzrle: {}, multifd: { send } })],
    ["mapped-ram and deltas", () => rig(blocks, { list: { mappedRam: true }, xbzrle: {} })],
    ["a cache of less than a page", () => rig(blocks, { xbzrle: { cacheBytes: page - 1 } })],
    ["no channels", () => multifdSender({ channels: [], sync: "section", zeroPages: "records" })],
    [
      "a short UUID",
      () => multifdSender({ channels: [() => {}], sync: "section", zeroPages: "records", uuid: new Uint8Array(4) }),
    ],
    [
      "channels of other pages",
      () =>
        rig(blocks, {
          multifd: {
            send: multifdSender({ channels: [() => {}], sync: "section", zeroPages: "records", pageBytes: 1024 }),
          },
        }),
    ],
  ])("%s", (_, run) => {
    expect(codes(run).code).toBe("DEFINITION_INVALID");
  });

  it("and MULTIFD_FLUSH has no meaning where sections synchronise", () => {
    const { stage } = rig(blocks, { multifd: { receive: { channels: 1, sync: "section" } } });
    const start = [...word(page, 4), ...name("pc.ram"), ...word(page, 0), ...word(0, 0x200)];
    expect(codes(() => feed(stage().decoder("start", 4, undefined), Uint8Array.from(start), 0, 5)).code).toBe(
      "RAM_ENCODING",
    );
  });
});
