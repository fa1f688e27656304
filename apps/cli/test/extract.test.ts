// `godwit extract`: on every stream, what is asked for and nothing half done.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { findVmdesc } from "@godwit/core/stream";
import { haveStreams, manifest, readStream, streamFile } from "@godwit/test-support/streams";
import { afterAll, describe, expect, it } from "vitest";
import type { RamIndex } from "../src/extract/ram-index.ts";
import { partialFolder } from "../src/ram/partial-folder.ts";
import { fileHolds, folderFor, inMemory, tinyPasses } from "./ram-support.ts";
import { type RunInit, runCli } from "./run-cli.ts";

const folder = folderFor("extract");
afterAll(() => folder.remove());

let places = 0;
/** A place where nothing is. */
const fresh = (): string => join(folder.path, String(places++));
const put = (bytes: Uint8Array | string): string => {
  const path = fresh();
  writeFileSync(path, bytes);
  return path;
};
const extract = (args: readonly string[], init: RunInit = {}) =>
  runCli(["extract", ...args], { folder: folder.path, ...init });
const leftOver = (): string[] => readdirSync(folder.path).filter((name) => name.includes("partial"));

const vmdescFrom: Readonly<Record<string, string>> = {
  "q35-bare-novmdesc-7.2": "q35-bare-7.2.stream",
  "tiny-postcopy-7.2": "tiny-precopy-7.2.stream",
};

const cases = haveStreams()
  ? manifest().map(({ name, files }) => {
      const streams = files.filter(({ raw }) => raw.endsWith(".stream"));
      const main = streams.find(({ stream }) => stream !== undefined) ?? expect.unreachable(name);
      const channels = streams.filter(({ stream }) => stream === undefined).map(({ raw }) => streamFile(raw));
      return { name, main, channels };
    })
  : [];

describe.skipIf(!haveStreams())("extract, on every stream", () => {
  it.each(cases)(
    "$name: its blocks as the manifest lists them, one device, its vmdesc",
    async ({ name, main, channels }) => {
      const { sections = [], ram_blocks = [], config, vmdesc } = main.stream ?? expect.unreachable();
      const images = fresh();
      const from = vmdescFrom[name];
      const device = sections.find(({ idstr }) => idstr === "globalstate") ?? expect.unreachable("globalstate");
      const common = [streamFile(main.raw), ...(from === undefined ? [] : ["--vmdesc", streamFile(from)])];
      const given = channels.flatMap((channel) => ["--channel", channel]);
      const { code, stdout, stderr } = await extract([
        ...common,
        "--ram",
        images,
        ...given,
        "--device",
        "globalstate",
        "--json",
      ]);
      expect([stderr, code]).toEqual(["", 0]);
      const { ram, document } = JSON.parse(stdout) as {
        ram: RamIndex & { folder: string };
        document: Record<string, never>;
      };
      expect(JSON.parse(readFileSync(join(images, "ram.json"), "utf8"))).toEqual({ ...ram, folder: undefined });
      expect(ram.machineType).toBe(config.name);
      expect(ram.blocks.map(({ name: idstr, bytes }) => ({ idstr, bytes }))).toEqual(
        ram_blocks.map(({ idstr, bytes }) => ({ idstr, bytes })),
      );
      expect(ram.blocks.map(({ missingPages, missing }) => [missingPages, missing])).toEqual(
        ram.blocks.map(() => [0, []]),
      );
      expect(readdirSync(images).sort()).toEqual(["ram.json", ...ram.blocks.map(({ file }) => file)].sort());
      for (const { file, bytes } of ram.blocks) expect(statSync(join(images, file)).size).toBe(bytes);
      if (name.startsWith("tiny")) {
        const { wrong, pages, first, last } = tinyPasses(readFileSync(join(images, "pc.ram.raw")));
        expect([wrong, pages]).toEqual([0, 2048]);
        expect(first - last === 0 || first - last === 1).toBe(true);
      }
      expect(document).toMatchObject({
        kind: "device",
        section: "globalstate",
        value: { section: "globalstate/0", version: 1, bodyBytes: device.bytes },
      });
      // Reading all of the largest once more would tell nothing new.
      if (main.bytes > 20 << 20) return;
      if (vmdesc) {
        const listed = await extract([...common, "--vmdesc-json"]);
        expect(JSON.parse(listed.stdout)).toEqual(findVmdesc(readStream(main.raw).subarray(-(1 << 20)))?.vmdesc);
      } else {
        expect(await extract([...common, "--vmdesc-json"])).toMatchObject({
          code: 1,
          stderr: expect.stringMatching(/VMDESC_ABSENT/),
        });
      }
    },
  );
});

describe.skipIf(!haveStreams())("extract", () => {
  const tiny = haveStreams() ? streamFile("tiny-xbzrle-7.2.stream") : "";
  const virtio = haveStreams() ? streamFile("q35-vtd-virtio-7.2.stream") : "";

  it("a device by its description: values as a tree, 64-bit integers as strings, bytes as base64", async () => {
    const { code, stdout } = await extract([virtio, "--device", "0000:00:02.0/virtio-blk"]);
    const value = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(value).toMatchObject({
      by: "description",
      plugin: "@godwit/virtio-blk",
      fields: null,
      fault: null,
      delimitedBy: "vmdesc",
    });
    const { vqs } = value.record;
    expect(vqs.length).toBeGreaterThan(0);
    expect(typeof vqs[0].last_avail_idx).toBe("number");
    expect(vqs[0].desc).toMatch(/^\d+$/);
  });

  it("a device by the vmdesc, where nothing describes it: values with path, type and offset", async () => {
    const stream = readStream("tiny-xbzrle-7.2.stream");
    const { stdout } = await extract([tiny, "--device", "timer/0"]);
    const value = JSON.parse(stdout);
    expect(value).toMatchObject({ by: "vmdesc", plugin: null, record: null, section: "timer/0" });
    const [ticks] = value.fields;
    expect(ticks).toMatchObject({ path: "cpu_ticks_offset", offset: 0, type: "int64" });
    const view = new DataView(stream.buffer, stream.byteOffset);
    expect(ticks.value).toBe(String(view.getBigInt64(value.bodyOffset)));
  });

  it("a section's bytes, to standard output, to a file, as base64", async () => {
    const stream = readStream("tiny-xbzrle-7.2.stream");
    const { offset, bodyOffset, bodyBytes } = JSON.parse((await extract([tiny, "--device", "serial"])).stdout);
    const body = stream.slice(bodyOffset, bodyOffset + bodyBytes);
    expect(bodyOffset - offset).toBe(1 + 4 + 1 + 6 + 8);
    const piped = await extract([tiny, "--raw", "serial"]);
    expect([piped.stdout, Buffer.compare(piped.bytes, body)]).toEqual(["", 0]);
    const file = fresh();
    expect(await extract([tiny, "--raw", "serial", "-o", file])).toMatchObject({ code: 0, stdout: "" });
    expect(Buffer.compare(readFileSync(file), body)).toBe(0);
    const json = JSON.parse((await extract([tiny, "--raw", "serial/0", "--json"])).stdout);
    expect(json).toMatchObject({ ram: null, document: { kind: "raw", section: "serial/0", file: null } });
    expect(Buffer.compare(Buffer.from(json.document.value, "base64"), body)).toBe(0);
  });

  it("the parts of an iterable as bytes, one behind the other", async () => {
    const { stream } = manifest().find(({ name }) => name === "pseries-bare-7.2")?.files[0] ?? expect.unreachable();
    const start = stream?.sections.find(({ idstr }) => idstr === "spapr/htab");
    const raw = await extract([streamFile("pseries-bare-7.2.stream"), "--raw", "spapr/htab"]);
    expect(raw.code).toBe(0);
    // A size of the table, then PART and END, each with at least a header word.
    expect(raw.bytes.length).toBeGreaterThanOrEqual(4 + 4 + 4);
    expect(start?.bytes).toBeGreaterThan(0);
    const refused = await extract([streamFile("pseries-bare-7.2.stream"), "--device", "spapr/htab"]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/EXTRACT_ITERABLE/) });
  });

  it("from a pipe, where nothing can be sought", async () => {
    const stream = readStream("tiny-xbzrle-7.2.stream");
    const images = fresh();
    const pieces = function* () {
      for (let at = 0; at < stream.length; at += 60_001) yield stream.subarray(at, at + 60_001);
    };
    const { code } = await extract(["-", "--ram", images, "--block", "pc.*", "--block", "/rom@etc/table-load?r"], {
      stdin: pieces(),
    });
    expect(code).toBe(0);
    const memory = inMemory(stream);
    const { blocks } = JSON.parse(readFileSync(join(images, "ram.json"), "utf8")) as RamIndex;
    expect(blocks.map(({ name }) => name)).toEqual(["pc.ram", "pc.bios", "pc.rom", "/rom@etc/table-loader"]);
    for (const { name, file } of blocks)
      expect(fileHolds(join(images, file), memory.get(name)?.bytes as Uint8Array), name).toBe(true);
  });

  it("RAM that is not whole is refused, and where it is; or taken, and told", async () => {
    const main = streamFile("tiny-multifd-7.2.main.stream");
    const images = fresh();
    const refused = await extract([main, "--ram", images]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(
      /2171 pages of RAM are not in the stream, the first at pc\.ram\+0x[0-9a-f]+.*RAM_MISSING[\s\S]*--channel/,
    );
    expect(existsSync(images)).toBe(false);
    expect(leftOver()).toEqual([]);
    expect((await extract([main, "--ram", images, "--allow-missing"])).code).toBe(0);
    const { blocks } = JSON.parse(readFileSync(join(images, "ram.json"), "utf8")) as RamIndex;
    const missing = blocks.flatMap((block) => block.missing.map(({ from, to }) => (to - from) / 4096));
    expect(missing.reduce((sum, pages) => sum + pages, 0)).toBe(2171);
    expect(blocks.reduce((sum, block) => sum + block.missingPages, 0)).toBe(2171);
    const [ram] = blocks;
    expect(ram?.missing.some(({ from, to }) => from <= 0x20_0000 && to >= 0xa0_0000)).toBe(true);
  });

  it("a stream that is cut, or bad in the middle, leaves nothing", async () => {
    const stream = readStream("tiny-xbzrle-7.2.stream");
    for (const [bytes, exit] of [
      [stream.subarray(0, 10_000_000), 1],
      [stream.subarray(0, stream.length - 10), 1],
      ["no stream at all", 1],
    ] as const) {
      const images = fresh();
      const file = fresh();
      const { code, stdout } = await extract([put(bytes), "--ram", images, "--device", "timer", "-o", file]);
      expect([code, stdout, existsSync(images), existsSync(file), leftOver()]).toEqual([exit, "", false, false, []]);
    }
  });

  it("what is there is left as it is, until --overwrite; and what is not ours, ever", async () => {
    const images = fresh();
    expect((await extract([tiny, "--ram", images, "--block", "pc.rom"])).code).toBe(0);
    const before = readFileSync(join(images, "ram.json"), "utf8");
    expect(await extract([tiny, "--ram", images])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/OUTPUT_EXISTS[\s\S]*--overwrite/),
    });
    expect(readFileSync(join(images, "ram.json"), "utf8")).toBe(before);
    expect((await extract([tiny, "--ram", images, "--block", "pc.bios", "--overwrite"])).code).toBe(0);
    expect(readdirSync(images).sort()).toEqual(["pc.bios.raw", "ram.json"]);
    writeFileSync(join(images, "thesis.txt"), "years of work");
    expect(await extract([tiny, "--ram", images, "--overwrite"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/OUTPUT_EXISTS/),
    });
    expect(readFileSync(join(images, "thesis.txt"), "utf8")).toBe("years of work");
    const link = fresh();
    symlinkSync(images, link);
    expect((await extract([tiny, "--ram", link, "--overwrite"])).code).toBe(2);

    const empty = fresh();
    mkdirSync(empty);
    expect((await extract([tiny, "--ram", empty, "--block", "pc.rom"])).code).toBe(0);

    const file = put("mine");
    expect(await extract([tiny, "--vmdesc-json", "-o", file])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/OUTPUT_EXISTS/),
    });
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect((await extract([tiny, "--vmdesc-json", "-o", file, "--overwrite"])).code).toBe(0);
    expect(JSON.parse(readFileSync(file, "utf8")).page_size).toBe(4096);
    expect(leftOver()).toEqual([]);
  });

  it("a place for the document that cannot be is told before the stream is read", async () => {
    const stdin = (function* (): Generator<Uint8Array> {
      yield readStream("tiny-xbzrle-7.2.stream").subarray(0, 1 << 20);
      expect.unreachable("read on");
    })();
    const file = join(fresh(), "nowhere", "x.json");
    expect(await extract(["-", "--device", "timer", "-o", file], { stdin })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/OUTPUT_UNWRITABLE/),
    });
  });

  it("what comes to the place while the stream is read is left as it is", async () => {
    const stream = readStream("tiny-xbzrle-7.2.stream");
    const [images, file] = [fresh(), fresh()];
    const stdin = (put: () => void) =>
      (function* () {
        yield stream.subarray(0, 1 << 20);
        put();
        yield stream.subarray(1 << 20);
      })();
    const folderComes = stdin(() => {
      mkdirSync(images);
      writeFileSync(join(images, "thesis.txt"), "years of work");
    });
    const taken = { code: 2, stderr: expect.stringMatching(/OUTPUT_EXISTS/) };
    expect(await extract(["-", "--ram", images], { stdin: folderComes })).toMatchObject(taken);
    expect(readdirSync(images)).toEqual(["thesis.txt"]);
    const fileComes = stdin(() => writeFileSync(file, "mine"));
    expect(await extract(["-", "--device", "timer", "-o", file], { stdin: fileComes })).toMatchObject(taken);
    expect([readFileSync(file, "utf8"), leftOver()]).toEqual(["mine", []]);
  });

  it("a folder that cannot be made is told by the name that was given", async () => {
    const run = await extract([tiny, "--ram", "nowhere/images", "--block", "pc.rom"]);
    expect([run.code, run.stderr]).toEqual([
      2,
      "godwit: nowhere/images cannot be written: there is no such folder (OUTPUT_WRITE)\n",
    ]);
  });

  it("the folder that was there comes back, where the new one cannot take its place", () => {
    const images = fresh();
    mkdirSync(images);
    writeFileSync(join(images, "ram.json"), "before");
    const partial = partialFolder(images, folder.path);
    rmSync(partial.path, { recursive: true });
    expect(() => partial.commit()).toThrow(/cannot be written/);
    expect(readFileSync(join(images, "ram.json"), "utf8")).toBe("before");
    partial.discard();
    expect(leftOver()).toEqual([]);
  });

  it("what a killed extraction has left is removed by the next one for the same place, and nothing else", async () => {
    const images = fresh();
    const dead = spawnSync(process.execPath, ["--version"]).pid;
    const left = [`${dead}-0123abcd.partial`, `${process.pid}-0123abcd.partial`, "notes.partial"];
    for (const name of left) mkdirSync(`${images}.${name}`);
    expect((await extract([tiny, "--ram", images, "--block", "pc.rom"])).code).toBe(0);
    expect(left.map((name) => existsSync(`${images}.${name}`))).toEqual([false, true, true]);
    for (const name of left.slice(1)) rmSync(`${images}.${name}`, { recursive: true });
  });

  it("a document that cannot be written keeps RAM back, too", async () => {
    const images = fresh();
    const file = join(fresh(), "nowhere", "x.json");
    expect((await extract([tiny, "--ram", images, "--device", "timer", "-o", file])).code).toBe(2);
    expect(existsSync(images)).toBe(false);
  });

  const wrongUses: readonly (readonly [says: string, args: readonly string[], code: string])[] = [
    ["nothing asked for", [], "EXTRACT_NOTHING"],
    ["-o alone", ["-o", "x"], "EXTRACT_OUTPUT"],
    ["two documents", ["--device", "timer", "--vmdesc-json"], "EXTRACT_SEVERAL"],
    ["a channel without RAM", ["--device", "timer", "--channel", "x"], "EXTRACT_RAM"],
    ["a block that is not there", ["--ram", "never", "--block", "vga*"], "EXTRACT_BLOCK"],
    [
      "a block that is not there, beside one",
      ["--ram", "never", "--block", "pc.rom", "--block", "vga*"],
      "EXTRACT_BLOCK",
    ],
    [
      "a document among the images",
      ["--ram", "never", "--device", "timer", "-o", "never/timer.json"],
      "EXTRACT_OUTPUT",
    ],
    ["a document instead of the images", ["--ram", "never", "--device", "timer", "-o", "never"], "EXTRACT_OUTPUT"],
    ["a section that is not there", ["--device", "timmer"], "SECTION_NOT_FOUND"],
    ["a section that is several", ["--raw", "i8259"], "SECTION_AMBIGUOUS"],
    ["RAM as bytes", ["--raw", "ram"], "EXTRACT_ITERABLE"],
    ["RAM as a device", ["--device", "ram"], "EXTRACT_ITERABLE"],
    ["RAM into no folder", ["--ram", ""], "EXTRACT_RAM"],
    ["a size that is none", ["--ram", "never", "--ram-bound", "much"], "OPTION_SIZE"],
  ];
  it.each(wrongUses)("is wrong use: %s", async (_, args, code) => {
    const run = await extract([tiny, ...args, "--json"]);
    expect(run.code).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { code } });
    expect(existsSync(join(folder.path, "never"))).toBe(false);
  });

  it("refuses more memory than --ram-bound", async () => {
    const run = await extract([tiny, "--ram", "never", "--ram-bound", "16M", "--json"]);
    expect(run.code).toBe(1);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { code: "LENGTH_BOUND", section: "ram/0" } });
    expect(leftOver()).toEqual([]);
  });
});
