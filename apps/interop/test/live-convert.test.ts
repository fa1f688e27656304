// What `godwit convert` makes of streams that QEMU 7.2 cannot load as they are, or only with channels and capabilities: it
// loads them, its memory is the stream's, and the guest goes on.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { haveStreams, manifest, readStream, streamsFolder } from "@godwit/test-support/streams";
import { afterAll, describe, expect, it } from "vitest";
import { machineOptions } from "../src/command-line.ts";
import { openStream } from "../src/open.ts";
import { Qemu } from "../src/qemu.ts";
import { haveQemu } from "./support/live.ts";
import {
  differing,
  expectToCountFrom,
  guestPages,
  memoryBytes,
  pagesInPlace,
  passIn,
  tinyOptions,
} from "./support/tiny.ts";

const target = "x86_64";
const program = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "godwit-live-convert-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let places = 0;
const fresh = (extension: string): string => join(folder, `${places++}.${extension}`);
const supplied = (name: string): string => join(streamsFolder(), `${name}.stream.zst`);

function godwit(...args: readonly string[]): void {
  const words = ["--conditions=godwit:source", program, ...args];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  expect([status, stderr.match(/godwit: .*/)?.[0]]).toEqual([0, undefined]);
}

function converted(input: string, extension: string, ...more: readonly string[]): string {
  const output = fresh(extension);
  godwit("convert", input, output, ...more);
  return output;
}

const optionsOf = (name: string): string[] =>
  machineOptions(manifest().find((one) => one.name === name)?.command_line ?? "");

/** QEMU 7.2 takes the stream, holds its RAM, and the guest prints the next number. */
async function expectToLoad(file: string, options: readonly string[]): Promise<void> {
  const stream = new Uint8Array(readFileSync(file));
  const ram = openStream(stream).ram.blocks.get("pc.ram") ?? expect.unreachable("pc.ram");
  expect(pagesInPlace(ram)).toBe(guestPages);
  await using qemu = await Qemu.start({ target, options, incoming: true, stopped: true });
  await qemu.load(stream);
  const arrived = await qemu.memory(memoryBytes);
  expect(differing(arrived, ram)).toEqual([]);
  await expectToCountFrom(qemu, passIn(ram));
}

describe.skipIf(!haveStreams() || !haveQemu(target))("what convert has made, in QEMU 7.2", () => {
  it.each(["tiny-xbzrle-7.2", "tiny-compress-7.2"])("%s as whole pages: no capability is asked for", async (name) => {
    await expectToLoad(converted(supplied(name), "stream"), optionsOf(name));
  });

  it("compressed pages as they are it does not take unasked", async () => {
    const name = "tiny-compress-7.2";
    const start = Qemu.start({ target, options: optionsOf(name), stream: readStream(`${name}.stream`), stopped: true });
    await expect(start).rejects.toThrow(/compressed page/);
  });

  it("main and channels of multifd as one stream", async () => {
    const [main = "", one = "", two = ""] = ["main", "ch0", "ch1"].map((each) => supplied(`tiny-multifd-7.2.${each}`));
    const stream = converted(main, "stream", "--channel", one, "--channel", two);
    await expectToLoad(stream, optionsOf("tiny-multifd-7.2"));
  });

  it("a post-copy stream as one that a file can hold", async () => {
    const stream = converted(supplied("tiny-postcopy-7.2"), "stream", "--vmdesc", supplied("tiny-precopy-7.2"));
    await expectToLoad(stream, optionsOf("tiny-postcopy-7.2"));
  });

  it("QEMU 10.0's mapped-ram file as a stream, its machine and its one unknown command mended", async () => {
    const mapped = converted(supplied("tiny-mappedram-10.0"), "stream");
    const mended = fresh("stream");
    const edits = ["--rename-machine", "pc-q35-7.2", "--drop-command", "SWITCHOVER_START"];
    godwit("edit", mapped, "-o", mended, ...edits);
    await expectToLoad(mended, tinyOptions());
  });

  it("a stream that was a mapped-ram file, and a recording, in between", async () => {
    const mapped = converted(supplied("tiny-precopy-7.2"), "mapped");
    expect(statSync(mapped).size).toBeGreaterThan(24 << 20);
    const checkpoint = converted(mapped, "checkpoint");
    await expectToLoad(converted(checkpoint, "stream"), tinyOptions());
  });
});
