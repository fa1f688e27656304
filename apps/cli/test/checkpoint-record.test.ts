// Real streams recorded and given back, byte for byte; what is shared between recordings; and what a failure leaves.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, lstatSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { haveStreams, manifest, readStream, streamsFolder } from "@godwit/test-support/streams";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { expand, form, ownForm } from "../src/checkpoint/compression.ts";
import { listRecordings, openCheckpoint, recordStream } from "../src/checkpoint/index.ts";
import { PageIndex } from "../src/checkpoint/page-index.ts";
import { removeLeftovers } from "../src/checkpoint/unfinished.ts";
import { codeOf, cut, isSame, makeFolder, pagesOf, ramEnd, replayedBytes } from "./checkpoint-support.ts";

const folder = makeFolder();
afterAll(() => folder.remove());

const have = haveStreams();
let stores = 0;
const freshStore = (): string => folder.of(`store-${stores++}`);

/** Beside the small ones. */
const large = ["q35-vtd-virtio-7.2", "s390-ccw-5dev-10.0", "tiny-mappedram-10.0"];
const streams = have
  ? manifest().flatMap(({ name, files }) =>
      files.flatMap(({ raw, bytes, stream }) =>
        stream !== undefined && (bytes < 20_000_000 || large.includes(name)) ? [{ name, raw, stream }] : [],
      ),
    )
  : [];

describe.skipIf(!have)("a recorded stream", () => {
  it("is among many", () => {
    expect(streams.length).toBeGreaterThanOrEqual(15);
  });

  it.each(streams)("comes back byte for byte: $raw", async ({ raw, stream }) => {
    const bytes = readStream(raw);
    const store = freshStore();
    const { recording, lost } = await recordStream(cut(bytes, [100_000, 1, 4099]), store);
    expect(lost).toBeUndefined();
    expect(isSame(await replayedBytes(store), bytes)).toBe(true);
    const found = pagesOf(bytes, stream.capabilities_in_stream);
    expect(recording).toMatchObject({
      machine: stream.config?.name,
      pages: found.pages,
      newPages: found.contents.size,
      whole: true,
      streamBytes: bytes.length,
    });
    if (found.pages > 0 && !raw.includes("mapped")) expect(found.pages).toBe(stream.ram_records?.page);
    const checkpoint = await openCheckpoint(store);
    await checkpoint.verify();
    await checkpoint.close();
  });

  it("keeps of a further recording only the pages that are new", async () => {
    const store = freshStore();
    const name = (one: string) => `${one}.stream`;
    const [a, b] = [readStream(name("q35-bare-7.2")), readStream(name("q35-bare-kvm-7.2"))];
    const first = await recordStream(cut(a), store, { name: "a" });
    const again = await recordStream(cut(a), store);
    const other = await recordStream(cut(b), store, { name: "b" });
    const inA = pagesOf(a).contents;
    const onlyInB = [...pagesOf(b).contents].filter((content) => !inA.has(content));
    expect(first.recording).toMatchObject({ name: "a", pages: 51, newPages: 51 });
    expect(again.recording).toMatchObject({ name: "2", pages: 51, newPages: 0 });
    expect(other.recording).toMatchObject({ name: "b", pages: 51, newPages: onlyInB.length });
    // The devices and the vmdesc, compressed; and not the firmware.
    expect(again.fileBytes - first.fileBytes).toBeLessThan(20_000);
    expect(first.fileBytes).toBeGreaterThan(130_000);
    expect(statSync(store).size).toBe(other.fileBytes);
    for (const [one, bytes] of [
      ["a", a],
      ["2", a],
      ["b", b],
    ] as const) {
      expect(isSame(await replayedBytes(store, one), bytes), one).toBe(true);
    }
    expect((await listRecordings(store)).map(({ name: own }) => own)).toEqual(["a", "2", "b"]);
    expect(await codeOf(recordStream(cut(a), store, { name: "b" }))).toBe("CHECKPOINT_NAME");
    expect((await listRecordings(store)).length).toBe(3);
  });

  it("has the same pages however it is cut", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 8 }), async (lengths) => {
        const store = freshStore();
        const { recording } = await recordStream(cut(bytes, lengths), store);
        expect(recording).toMatchObject({ pages: 51, newPages: 51, whole: true });
        expect(isSame(await replayedBytes(store), bytes)).toBe(true);
      }),
      { seed: 20_261_121, numRuns: 15 },
    );
  });

  it("is kept where it is not understood, from there on as it came", async () => {
    const bytes = readStream("q35-bare-7.2.stream").slice();
    // EOS and FULL at once, instead of EOS.
    const end = ramEnd(bytes);
    bytes[end - 6] = 0x11;
    const store = freshStore();
    const { recording, lost } = await recordStream(cut(bytes), store);
    expect(lost).toMatchObject({ code: "RAM_FLAGS", location: { offset: end - 13 } });
    // It ends in a vmdesc: it is whole.
    expect(recording).toMatchObject({ pages: 51, whole: true });
    expect(isSame(await replayedBytes(store), bytes)).toBe(true);
    const unsure = await recordStream(cut(bytes.subarray(0, -1)), store);
    expect(unsure.recording.whole).toBe(false);
    expect(isSame(await replayedBytes(store), bytes.subarray(0, -1))).toBe(true);
  });

  it("of a page size that cannot be is kept as it came", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    // The configuration's subsection that tells the bits of a target page.
    const name = new TextEncoder().encode("configuration/target-page-bits");
    const bits = (value: number) => Uint8Array.of(5, name.length, ...name, 0, 0, 0, 1, 0, 0, 0, value);
    const at = 8 + 1 + 4 + "pc-q35-7.2".length;
    for (const [value, pages] of [
      [12, 51],
      [40, 0],
    ] as const) {
      const store = freshStore();
      const made = new Uint8Array(Buffer.concat([bytes.subarray(0, at), bits(value), bytes.subarray(at)]));
      const { recording } = await recordStream(cut(made), store);
      expect(recording).toMatchObject({ pages, pageBytes: 4096, whole: true });
      expect(isSame(await replayedBytes(store), made)).toBe(true);
    }
  });

  it("has lost nothing where only devices are not understood", async () => {
    const bytes = readStream("q35-bare-7.2.stream").slice();
    // No type of section; then one that says that the stream ends.
    for (const type of [0x55, 0x00]) {
      bytes[ramEnd(bytes)] = type;
      const { recording, lost } = await recordStream(cut(bytes), freshStore());
      expect({ lost, whole: recording.whole, pages: recording.pages }).toEqual({
        lost: undefined,
        whole: true,
        pages: 51,
      });
      const unsure = await recordStream(cut(bytes.subarray(0, -1)), freshStore());
      expect(unsure).toMatchObject({ lost: undefined, recording: { whole: false } });
    }
  });

  it("that is cut is refused, wherever, and leaves nothing", async () => {
    for (const [name, wholeAtEof] of [
      ["q35-bare-7.2", true],
      ["q35-bare-novmdesc-7.2", false],
    ] as const) {
      const bytes = readStream(`${name}.stream`);
      const eof = wholeAtEof ? bytes.length - vmdescBytes(bytes) : bytes.length;
      const lengths = fc.integer({ min: 0, max: bytes.length - 1 }).filter((length) => length !== eof);
      await fc.assert(
        fc.asyncProperty(lengths, async (length) => {
          const store = freshStore();
          const before = folder.names();
          expect(await codeOf(recordStream(cut(bytes.subarray(0, length)), store))).toBe("STREAM_TRUNCATED");
          expect(folder.names()).toEqual(before);
        }),
        {
          seed: 20_261_121,
          numRuns: 40,
          examples: [[0], [bytes.length - 1], [eof - 1], ...(wholeAtEof ? [[eof + 1] as [number]] : [])],
        },
      );
    }
  });

  it("that breaks leaves the file as it was", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    await recordStream(cut(bytes), store);
    const before = readFileSync(store);
    const names = folder.names();
    const broken = async function* () {
      yield* cut(bytes.subarray(0, 200_000));
      throw new Error("the cable");
    };
    await expect(recordStream(broken(), store)).rejects.toThrow("the cable");
    expect(await codeOf(recordStream(cut(new Uint8Array(100)), store))).toBe("MAGIC_WRONG");
    expect(await codeOf(recordStream(cut(Uint8Array.of(0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 2)), store))).toBe(
      "STREAM_VERSION",
    );
    expect(folder.names()).toEqual(names);
    expect(isSame(readFileSync(store), before)).toBe(true);
  });

  it("does not join a file that is damaged, or is none", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    await recordStream(cut(bytes), store);
    const damaged = readFileSync(store);
    (damaged[1000] as number) ^= 4;
    writeFileSync(store, damaged);
    const names = folder.names();
    expect(await codeOf(recordStream(cut(bytes), store))).toBe("CHECKPOINT_CHECKSUM");
    const image = freshStore();
    writeFileSync(image, new Uint8Array(5000).fill(7));
    expect(await codeOf(recordStream(cut(bytes), image))).toBe("CHECKPOINT_MAGIC");
    expect(folder.names()).toEqual([...names, image.slice(folder.path.length + 1)].sort());
    expect(isSame(readFileSync(store), damaged)).toBe(true);
    // An empty file is what `mktemp` makes.
    writeFileSync(image, "");
    expect((await recordStream(cut(bytes), image)).recording.newPages).toBe(51);
  });

  it("that a kill has cut short is removed by the next, and a live one is not", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    const dead = spawnSync(process.execPath, ["--version"]).pid;
    writeFileSync(`${store}.recording-${dead}-0123abcd`, "what it had");
    writeFileSync(`${store}.recording-${process.pid}-0123abcd`, "of an earlier process of our number");
    writeFileSync(`${store}.recording-notes`, "of the user");
    const living = spawn("sleep", ["60"]);
    const theirs = `${store}.recording-${living.pid}-0123abcd`;
    try {
      writeFileSync(theirs, "theirs");
      expect(await codeOf(recordStream(cut(bytes), store))).toBe("CHECKPOINT_BUSY");
      expect(readFileSync(theirs, "utf8")).toBe("theirs");
    } finally {
      living.kill();
      await new Promise((resolve) => living.once("exit", resolve));
    }
    await recordStream(cut(bytes), store);
    const own = store.slice(folder.path.length + 1);
    expect(folder.names().filter((name) => name.startsWith(own))).toEqual([own, `${own}.recording-notes`]);
    expect(await removeLeftovers(store)).toEqual([]);
  });

  it("is the only one of its file at a time", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    let go: () => void = () => {};
    const waiting = new Promise<void>((resolve) => {
      go = resolve;
    });
    let begun: () => void = () => {};
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const slow = recordStream(
      (async function* () {
        begun();
        await waiting;
        yield* cut(bytes);
      })(),
      store,
    );
    await hasBegun;
    expect(await codeOf(recordStream(cut(bytes), store))).toBe("CHECKPOINT_BUSY");
    go();
    expect((await slow).recording.name).toBe("1");
    expect((await recordStream(cut(bytes), store)).recording.name).toBe("2");
  });

  it("is not taken for the one of a process with the same number, in another container", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    const own = store.slice(folder.path.length + 1);
    await recordStream(cut(bytes), store);
    const before = readFileSync(store);
    const running = recordStream(
      (async function* () {
        yield bytes.subarray(0, 100_000);
        const [ours = ""] = folder.names().filter((name) => name.startsWith(`${own}.recording-`));
        // Whoever cannot see us takes it for a leftover, and begins one that has our number.
        rmSync(folder.of(ours));
        writeFileSync(`${store}.recording-${process.pid}-0123abcd`, "half of another recording");
        writeFileSync(`${store}.recording-${process.pid}`, "half of another recording");
        yield bytes.subarray(100_000);
      })(),
      store,
    );
    expect(await codeOf(running)).toBe("ENOENT");
    expect(isSame(readFileSync(store), before)).toBe(true);
    rmSync(`${store}.recording-${process.pid}-0123abcd`);
    rmSync(`${store}.recording-${process.pid}`);
  });

  it("leaves nothing where something speaks against it at the last moment", async () => {
    const store = freshStore();
    let was: readonly string[] = [];
    const beforeComplete = async (): Promise<void> => {
      was = folder.names().filter((name) => folder.of(name).startsWith(store));
      throw new Error("by several connections");
    };
    const running = recordStream(cut(readStream("q35-bare-7.2.stream")), store, { beforeComplete });
    await expect(running).rejects.toThrow(/several connections/);
    expect(was).toHaveLength(1);
    expect(folder.names().filter((name) => folder.of(name).startsWith(store))).toEqual([]);
  });

  it("is for its user alone, and keeps the mode of a file that it joins", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    const mode = (): number => statSync(store).mode & 0o777;
    await recordStream(cut(bytes), store);
    expect(mode()).toBe(0o600);
    chmodSync(store, 0o664);
    await recordStream(cut(bytes), store);
    expect(mode()).toBe(0o664);
  });

  it("joins the file that a link leads to; a device or a pipe is not replaced", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    const link = folder.of("link");
    await recordStream(cut(bytes), store);
    symlinkSync(store, link);
    await recordStream(cut(bytes), link);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(await listRecordings(store)).toHaveLength(2);
    rmSync(link);
    symlinkSync("/dev/null", link);
    expect(await codeOf(recordStream(cut(bytes), link))).toBe("OUTPUT_SPECIAL");
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    rmSync(link);
  });

  it("finds pages again as far as its memory goes, and loses none", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const store = freshStore();
    const twenty = { pageIndexBytes: 27 * 20 };
    expect((await recordStream(cut(bytes), store, twenty)).recording.newPages).toBe(51);
    expect((await recordStream(cut(bytes), store, twenty)).recording.newPages).toBe(31);
    expect((await recordStream(cut(bytes), store)).recording.newPages).toBe(0);
    for (const name of ["1", "2", "3"]) expect(isSame(await replayedBytes(store, name), bytes)).toBe(true);
  });

  it("is compressed by either method, and read by the library that Node 20 needs", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    for (const wanted of new Set([form.deflate, ownForm])) {
      const store = freshStore();
      const { fileBytes } = await recordStream(cut(bytes), store, { form: wanted });
      expect(fileBytes).toBeLessThan(0.5 * bytes.length);
      expect(isSame(await replayedBytes(store), bytes)).toBe(true);
    }
    const { file } = manifest().find(({ name }) => name === "q35-bare-7.2")?.files[0] ?? { file: "" };
    const frame = new Uint8Array(readFileSync(`${streamsFolder()}/${file}`));
    for (const library of [undefined, true]) {
      expect(isSame(await expand(frame, form.zstd, bytes.length, library), bytes)).toBe(true);
      await expect(expand(frame, form.zstd, bytes.length - 1, library)).rejects.toThrow();
      await expect(expand(frame, form.zstd, bytes.length + 1, library)).rejects.toThrow();
    }
  });

  it("tells how far it is", async () => {
    const bytes = readStream("q35-bare-7.2.stream");
    const seen: number[] = [];
    await recordStream(cut(bytes), freshStore(), { onProgress: ({ streamBytes }) => void seen.push(streamBytes) });
    expect(seen.length).toBe(Math.ceil(bytes.length / 100_000));
    expect(seen.at(-1)).toBeGreaterThan(bytes.length - 5000);
  });
});

/** The record behind EOF. */
function vmdescBytes(bytes: Uint8Array): number {
  const text = Buffer.from(bytes).lastIndexOf('{"configuration"') >= 0 ? '{"configuration"' : "{";
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = Buffer.from(bytes).indexOf(text); at >= 0; at = Buffer.from(bytes).indexOf(text, at + 1)) {
    if (bytes[at - 5] === 6 && view.getUint32(at - 4) === bytes.length - at) return bytes.length - at + 5;
  }
  throw new Error("no vmdesc");
}

describe("the index of pages", () => {
  it("finds every page that was put in, and no other, through many growths", () => {
    const index = new PageIndex(1 << 24);
    const hash = (n: number): Uint32Array => Uint32Array.of(Math.imul(n, 0x9e3779b1) & 0xfff_ffff, 1, n & 0xff, 4);
    for (let n = 0; n < 70_000; n++) index.add(n < 60_000 ? hash(n % 50_000) : hash(n));
    for (const n of [0, 1, 4999, 49_999, 65_536, 69_999]) expect(index.find(hash(n))).toBe(n);
    expect(index.find(hash(55_000))).toBeUndefined();
    expect(index.find(hash(70_000))).toBeUndefined();
    expect(index.pages).toBe(70_000);
  });
});
