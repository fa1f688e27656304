// The RAM of streams in files: every encoding, by the content of its pages; holes, memory that is held, hostile names.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync, constants as zlib } from "node:zlib";
import { Writer } from "@godwit/core";
import { StreamWriter } from "@godwit/core/stream";
import {
  multifdSender,
  noCompression,
  type PageCompression,
  type RamRecord,
  rewriteRam,
  storedZstd,
  writeListedBlock,
  writeRamRecord,
  xbzrleEncode,
  zlibCompression,
  zstdCompression,
} from "@godwit/ram-dirty-tracker";
import { haveStreams, manifest, readStream as rawStream, streamFile } from "@godwit/test-support/streams";
import { afterAll, describe, expect, it } from "vitest";
import { openInput } from "../src/io/input.ts";
import { readOptions, vmdescOf } from "../src/model/open-stream.ts";
import type { StreamVisitor } from "../src/model/read-stream.ts";
import { imageName } from "../src/ram/file-names.ts";
import { type RamFiles, type RamFilesInit, ramFiles } from "../src/ram/ram-files.ts";
import { readStreamWithRam } from "../src/ram/read-with-ram.ts";
import { fileHolds, folderFor, hashOf, inMemory, quiet, tinyPasses } from "./ram-support.ts";

const folder = folderFor("ram");
afterAll(() => folder.remove());

const page = 4096;

interface Materialise {
  readonly channels?: readonly string[];
  readonly files?: Partial<RamFilesInit>;
  readonly visitor?: StreamVisitor;
  readonly vmdesc?: string;
}

async function materialise(path: string, init: Materialise = {}): Promise<RamFiles> {
  const { channels = [], visitor = {}, vmdesc } = init;
  const target = mkdtempSync(join(folder.path, "images-"));
  const options = await readOptions({ hold: "64M", ...(vmdesc !== undefined && { vmdesc }) }, quiet);
  const input = await openInput(path, quiet);
  try {
    const { ram } = await readStreamWithRam({
      input,
      options,
      visitor,
      channels,
      scratch: () => target,
      terminal: quiet,
      open: (hooks) => ramFiles({ folder: target, ...hooks, ...init.files }),
    });
    ram.close();
    return ram;
  } finally {
    input.close();
  }
}

const imageOf = (ram: RamFiles, idstr: string): Uint8Array =>
  new Uint8Array(readFileSync(ram.pathOf(ram.blocks.get(idstr) ?? expect.unreachable(idstr))));

const spoiled = (path: string, bytes: Uint8Array): string => {
  const target = join(mkdtempSync(join(folder.path, "spoiled-")), path);
  writeFileSync(target, bytes);
  return target;
};

/** Streams without a vmdesc, and others of the same QEMU and machine. */
const vmdescFrom: Readonly<Record<string, string>> = {
  "q35-bare-novmdesc-7.2": "q35-bare-7.2.stream",
  "tiny-postcopy-7.2": "tiny-precopy-7.2.stream",
};

/** Of streams that differ by their devices alone, one; extract.test.ts has all. */
const compared = haveStreams()
  ? manifest().filter(({ name }) =>
      /^(tiny-(?!multifd)|q35-bare-7|q35-bare-novmdesc|q35-xbzrle|pseries-bare)/.test(name),
    )
  : [];

describe.skipIf(!haveStreams())("RAM of real streams in files", () => {
  it.each(compared.map(({ name }) => name))("%s: what the plugin has in memory, and holes", async (name) => {
    const raw = `${name}.stream`;
    const vmdesc = vmdescFrom[name] && streamFile(vmdescFrom[name]);
    const given = vmdesc === undefined ? undefined : await vmdescOf(vmdesc, quiet);
    const ram = await materialise(streamFile(raw), vmdesc === undefined ? {} : { vmdesc });
    const memory = inMemory(rawStream(raw), given);
    expect([...ram.blocks.keys()]).toEqual([...memory.keys()]);
    expect(ram.missingPages()).toBe(0);
    for (const [idstr, { bytes }] of memory) {
      const block = ram.blocks.get(idstr) ?? expect.unreachable(idstr);
      expect(fileHolds(ram.pathOf(block), bytes), idstr).toBe(true);
      const { size, blocks } = statSync(ram.pathOf(block));
      expect(size).toBe(bytes.length);
      // Pages that were something and became zero are written over, and no holes: there are few.
      expect(blocks * 512).toBeLessThan(block.written.count * page + 256 * 1024);
    }
    if (name.startsWith("tiny")) {
      const { wrong, pages, first, last } = tinyPasses(imageOf(ram, "pc.ram"));
      expect([wrong, pages]).toEqual([0, 2048]);
      expect(first - last === 0 || first - last === 1).toBe(true);
    }
  });

  const versions = [
    ["7.2", "ch0", "ch1"],
    ["7.2", "ch1", "ch0"],
    ["10.0", "ch0", "ch1"],
    ["10.0", "ch1", "ch0"],
  ] as const;
  it.each(versions)("multifd of %s, files given as %s, %s", async (version, ...channels) => {
    const files = channels.map((channel) => streamFile(`tiny-multifd-${version}.${channel}.stream`));
    const ram = await materialise(streamFile(`tiny-multifd-${version}.main.stream`), { channels: files });
    expect(ram.missingPages()).toBe(0);
    expect(tinyPasses(imageOf(ram, "pc.ram"))).toEqual({ wrong: 0, pages: 2048, first: 4, last: 4 });
    // The guest's ROMs are those of the same machine without channels.
    const other = await materialise(
      streamFile(version === "7.2" ? "tiny-precopy-7.2.stream" : "tiny-mappedram-10.0.stream"),
    );
    expect(hashOf(imageOf(ram, "pc.bios"))).toBe(hashOf(imageOf(other, "pc.bios")));
    expect(ram.blocks.get("pc.ram")?.written.count).toBe(other.blocks.get("pc.ram")?.written.count);
  });

  it("counts what a main stream without its channels does not bring", async () => {
    const ram = await materialise(streamFile("tiny-multifd-7.2.main.stream"));
    expect(ram.missingPages()).toBe(2171);
  });

  it("refuses what is no channel, too few of them, and one that is cut or too long", async () => {
    const main = streamFile("tiny-multifd-10.0.main.stream");
    const channels = ["ch0", "ch1"].map((one) => streamFile(`tiny-multifd-10.0.${one}.stream`));
    const [one = "", two = ""] = channels;
    const bytes = rawStream("tiny-multifd-10.0.ch1.stream");
    const refused = (...files: string[]) => materialise(main, { channels: files });
    await expect(refused(main, two)).rejects.toMatchObject({ code: "CHANNEL_WRONG", exit: 1 });
    await expect(refused(one, one)).rejects.toMatchObject({ code: "MULTIFD_HELLO" });
    await expect(refused(two)).rejects.toMatchObject({ code: "MULTIFD_HELLO" });
    await expect(refused(one, spoiled("cut", bytes.subarray(0, -700)))).rejects.toMatchObject({
      code: "STREAM_TRUNCATED",
      location: { section: "ram/0" },
    });
    const longer = new Uint8Array(bytes.length + 1344);
    longer.set(bytes);
    longer.set(bytes.subarray(-1344), bytes.length);
    await expect(refused(one, spoiled("longer", longer))).rejects.toMatchObject({ code: "MULTIFD_SYNC" });
    await expect(refused(one, two)).resolves.toBeDefined();
  });

  const compressions: Readonly<Record<string, PageCompression>> = {
    none: noCompression,
    zlib: zlibCompression({
      deflateRaw: (data, dictionary) =>
        deflateRawSync(data, { ...(dictionary && { dictionary }), finishFlush: zlib.Z_SYNC_FLUSH }),
    }),
    zstd: zstdCompression({ compressor: storedZstd }),
  };
  it.each(Object.keys(compressions))("three channels with compression %s, in two rounds", async (method) => {
    const stream = rawStream("tiny-precopy-7.2.stream");
    const pieces: Uint8Array[][] = [[], [], []];
    const made = rewriteRam({
      stream,
      pageBytes: page,
      multifd: multifdSender({
        channels: pieces.map((into) => (bytes: Uint8Array) => void into.push(bytes.slice())),
        sync: "section",
        zeroPages: "records",
        compression: compressions[method] as PageCompression,
      }),
      // Each page of the guest is another one first, and some behind them that are zero: what came last must stand.
      rounds: [(memory) => void memory.get("pc.ram")?.fill(7, 0x20_0000, 0xc0_0000)],
    });
    const channels = pieces.map((one, index) => spoiled(`ch${index}`, new Uint8Array(Buffer.concat(one))));
    const ram = await materialise(spoiled("main", made.stream), { channels });
    expect(ram.missingPages()).toBe(0);
    const memory = inMemory(stream);
    for (const idstr of ["pc.ram", "pc.bios"]) {
      expect(hashOf(imageOf(ram, idstr)), idstr).toBe(hashOf(memory.get(idstr)?.bytes as Uint8Array));
    }
  });
});

describe.skipIf(!haveStreams())("channels and the machine's UUID", () => {
  it("refuses another machine's, where the main stream tells which it is", async () => {
    const uuid = new Uint8Array(16).fill(7);
    const main = spoiled("main", made({ blocks: [["a", page]], uuid }));
    const hello = rawStream("tiny-multifd-7.2.ch0.stream").slice(0, 64);
    const refused = () => materialise(main, { channels: [spoiled("channel", hello)] });
    await expect(refused()).rejects.toMatchObject({ code: "CHANNEL_WRONG", exit: 1, message: /UUID/ });
    hello.set(uuid, 8);
    // It is the machine's now, and has no pages.
    await expect(refused()).rejects.toMatchObject({ code: "MULTIFD_SYNC" });
  });
});

describe("files without a name", () => {
  it("are not in the folder, and hold what was written", () => {
    const target = mkdtempSync(join(folder.path, "unnamed-"));
    const ram = ramFiles({ folder: target, pageBytes: () => page, unnamed: true });
    const block = { idstr: "a", length: 2 * page };
    ram.ram.onBlock?.(block);
    ram.target.store(block, page, new Uint8Array(page).fill(3), 0, page);
    ram.target.arrive(block, page);
    const into = new Uint8Array(2 * page);
    ram.read(ram.blocks.get("a") ?? expect.unreachable(), 0, into);
    expect([readdirSync(target), into[page - 1], into[page]]).toEqual([[], 0, 3]);
    ram.close();
  });
});

interface Made {
  readonly blocks: readonly (readonly [idstr: string, bytes: number])[];
  readonly records?: readonly RamRecord[][];
  readonly payload?: (record: RamRecord) => Uint8Array | undefined;
  readonly advised?: boolean;
  readonly uuid?: Uint8Array;
  readonly between?: (out: StreamWriter, part: number) => void;
}

/** A stream of RAM alone. */
function made({ blocks, records = [], payload = () => undefined, between, advised = false, uuid }: Made): Uint8Array {
  const writer = new StreamWriter({ pageBytes: page });
  const { out } = writer;
  const head = { sectionId: 2, idstr: "ram", instance: 0, version: 4 };
  const eos = { kind: "eos", value: 0 } as const;
  writer.header();
  writer.configuration({ machineType: "none", pageBits: 0, capabilities: [], uuid });
  // A source that may go on to post-copy says so first: the sizes of its pages.
  if (advised) writer.command(3, Uint8Array.of(0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x10, 0));
  writer.start(head);
  writeRamRecord(out, { kind: "memsize", value: blocks.reduce((sum, [, bytes]) => sum + bytes, 0) });
  for (const [idstr, length] of blocks) writeListedBlock(out, { idstr, length });
  writeRamRecord(out, eos);
  writer.footer(2);
  for (const [index, part] of [...records, []].entries()) {
    between?.(writer, index);
    writer.continue(index === records.length ? "end" : "part", 2);
    for (const record of part) writeRamRecord(out, record, payload(record));
    writeRamRecord(out, eos);
    writer.footer(2);
  }
  writer.finish();
  return out.flush();
}

const record = (
  kind: "zero" | "page" | "xbzrle",
  idstr: string,
  number: number,
  payloadBytes = kind === "page" ? page : 0,
  fill = 0,
): RamRecord => ({
  kind,
  block: { idstr, length: 0 },
  offset: number * page,
  continues: false,
  fill,
  payloadBytes,
});

const content = (number: number): Uint8Array => new Uint8Array(page).map((_, at) => (at * 7 + number * 13) % 251);

describe("RAM in files", () => {
  it("a page that becomes zero is zero, one that is filled is filled, and zeros sent as a page are a hole", async () => {
    const zeros = new Uint8Array(page);
    const stream = made({
      blocks: [["ram", 8 * page]],
      records: [
        [0, 1, 2, 3].map((number) => record("page", "ram", number)),
        [record("zero", "ram", 1), record("zero", "ram", 2, 0, 0xee), record("zero", "ram", 4)],
        [record("page", "ram", 5)],
      ],
      payload: (one) =>
        "block" in one && one.kind === "page"
          ? one.offset === 5 * page
            ? zeros
            : content(one.offset / page)
          : undefined,
    });
    const ram = await materialise(spoiled("stream", stream));
    const expected = new Uint8Array(8 * page);
    for (const number of [0, 3]) expected.set(content(number), number * page);
    expected.fill(0xee, 2 * page, 3 * page);
    expect(hashOf(imageOf(ram, "ram"))).toBe(hashOf(expected));
    const block = ram.blocks.get("ram");
    expect([0, 1, 2, 3, 4, 5].map((number) => block?.written.test(number))).toEqual([
      true,
      false,
      true,
      true,
      false,
      false,
    ]);
    expect(ram.missingPages()).toBe(2);
  });

  it("a delta is of the page before it, gathered or in the file already", async () => {
    const before = content(1);
    const [after, last] = [before.slice(), before.slice()];
    after.set([1, 2, 3], 1000);
    last.set([1, 2, 3], 1000);
    last.set([4, 5], 2000);
    const [first, second] = [new Uint8Array(page), new Uint8Array(page)];
    const [firstBytes, secondBytes] = [xbzrleEncode(before, after, first), xbzrleEncode(after, last, second)];
    const pages = 700;
    const numbers = Array.from({ length: pages }, (_, number) => number);
    const stream = made({
      blocks: [["ram", pages * page]],
      records: [
        numbers.map((number) => record("page", "ram", number)),
        [0, 1, 350, pages - 1].map((number) => record("xbzrle", "ram", number, firstBytes)),
        // What the delta before has made of it is not in the file yet.
        [record("xbzrle", "ram", pages - 1, secondBytes)],
      ],
      payload(one) {
        if (!("block" in one)) return undefined;
        if (one.kind === "page") return before;
        return one.payloadBytes === firstBytes ? first.subarray(0, firstBytes) : second.subarray(0, secondBytes);
      },
    });
    expect(secondBytes).not.toBe(firstBytes);
    const image = imageOf(await materialise(spoiled("stream", stream)), "ram");
    for (const number of [0, 1, 2, 350, 351, pages - 1]) {
      const expected = number === pages - 1 ? last : [0, 1, 350].includes(number) ? after : before;
      expect(hashOf(image.subarray(number * page, (number + 1) * page)), String(number)).toBe(hashOf(expected));
    }
  });

  it("pages that a post-copy source discards, and does not send again, are missing and zero", async () => {
    const payload = new Writer(64);
    payload.u8(0);
    payload.str8("ram");
    payload.u8(0);
    for (const value of [page, 3 * page]) payload.u64(BigInt(value));
    const discarded = payload.flush();
    const stream = made({
      blocks: [["ram", 8 * page]],
      records: [Array.from({ length: 8 }, (_, number) => record("page", "ram", number)), [record("page", "ram", 2)]],
      payload: (one) => ("block" in one ? content(one.offset / page) : undefined),
      advised: true,
      between: (out, part) => part === 1 && out.command(6, discarded),
    });
    // In one piece: the command stands in the same chunk as the pages before and behind it.
    const ram = await materialise(spoiled("stream", stream));
    expect(ram.missingPages()).toBe(2);
    const image = imageOf(ram, "ram");
    for (const number of [0, 1, 2, 3, 4]) {
      const expected = number === 1 || number === 3 ? new Uint8Array(page) : content(number);
      expect(hashOf(image.subarray(number * page, (number + 1) * page)), String(number)).toBe(hashOf(expected));
    }
  });

  it("holds two bits a page and one buffer, however much comes", async () => {
    const held = async (pages: number) => {
      const stream = made({
        blocks: [["ram", pages * page]],
        records: [
          Array.from({ length: pages }, (_, number) => record(number % 3 === 0 ? "page" : "zero", "ram", number)),
        ],
        payload: (one) => ("block" in one && one.kind === "page" ? content(one.offset / page) : undefined),
      });
      return (await materialise(spoiled("stream", stream))).heldBytes;
    };
    const [small, large] = [await held(1 << 8), await held(1 << 12)];
    expect(small).toBeLessThan(1.1 * (1 << 20));
    expect(large - small).toBe((2 * ((1 << 12) - (1 << 8))) / 8);
  });

  it("takes no more memory on a stream's word than it is told to", async () => {
    const stream = made({
      blocks: [
        ["a", 2 ** 20],
        ["b", 2 ** 41],
      ],
    });
    await expect(materialise(spoiled("stream", stream))).rejects.toMatchObject({
      code: "LENGTH_BOUND",
      location: { section: "ram/0" },
    });
    const small = made({
      blocks: [
        ["a", 2 ** 20],
        ["b", page],
      ],
    });
    await expect(materialise(spoiled("stream", small), { files: { boundBytes: 2 ** 20 } })).rejects.toMatchObject({
      code: "LENGTH_BOUND",
    });
    await expect(
      materialise(spoiled("stream", small), { files: { boundBytes: 2 ** 20 + page } }),
    ).resolves.toBeDefined();
  });

  it("leaves out blocks that are not wanted", async () => {
    const stream = made({
      blocks: [
        ["a", 4 * page],
        ["b", 4 * page],
      ],
      records: [[record("page", "a", 1), record("page", "b", 1), record("zero", "b", 2)]],
      payload: (one) => ("block" in one && one.kind === "page" ? content(1) : undefined),
    });
    const ram = await materialise(spoiled("stream", stream), { files: { wants: ({ idstr }) => idstr === "a" } });
    expect(readdirSync(join(ram.pathOf({ idstr: "a", length: 0 }), ".."))).toEqual(["a.raw"]);
    expect(ram.missingPages()).toBe(3);
    expect(ram.blocks.get("b")?.came.count).toBe(2);
  });

  it("no name of a block leads out of the folder, or to another block's image", async () => {
    const hostile = [
      "../../x",
      "/etc/passwd",
      "..",
      ".",
      "a/b",
      "a%2Fb",
      "a\0b",
      "ü",
      "A".repeat(255),
      "%".repeat(254),
      "%".repeat(255),
      "~",
      "con:",
      "-rf",
    ];
    const stream = made({ blocks: hostile.map((idstr) => [idstr, page] as const) });
    const ram = await materialise(spoiled("stream", stream));
    const paths = hostile.map((idstr) => ram.pathOf({ idstr, length: page }));
    expect(new Set(paths).size).toBe(hostile.length);
    const inside = join(paths[0] as string, "..");
    expect(readdirSync(inside).length).toBe(hostile.length);
    for (const path of paths) expect(join(path, "..")).toBe(inside);
    expect(["pc.ram", "/rom@etc/acpi/tables", "../../x", "a/b", "a%2Fb"].map(imageName)).toEqual([
      "pc.ram.raw",
      "%2From%40etc%2Facpi%2Ftables.raw",
      "%2E.%2F..%2Fx.raw",
      "a%2Fb.raw",
      "a%252Fb.raw",
    ]);
    // A name that is no UTF-8, as it is read, and the same bytes as characters of their own.
    expect(imageName("\udcff")).toBe("%FF.raw");
    expect(imageName("ÿ")).toBe("%C3%BF.raw");
  });

  it("says what the file system refuses, and leaves what was there", async () => {
    const stream = spoiled("stream", made({ blocks: [["a", page]] }));
    const target = join(folder.path, "taken");
    mkdirSync(target);
    writeFileSync(join(target, "a.raw"), "mine");
    await expect(materialise(stream, { files: { folder: target } })).rejects.toMatchObject({
      code: "OUTPUT_WRITE",
      exit: 2,
    });
    expect(readFileSync(join(target, "a.raw"), "utf8")).toBe("mine");
  });
});
