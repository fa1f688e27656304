// `godwit convert`: each form to each, RAM and devices compared; QEMU's own mapped-ram file made again.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findVmdesc, StreamWriter } from "@godwit/core/stream";
import { writeListedBlock, writeRamRecord } from "@godwit/ram-dirty-tracker";
import { haveStreams, readStream, streamFile } from "@godwit/test-support/streams";
import { afterAll, describe, expect, it } from "vitest";
import { pageData } from "../src/convert/plain-ram.ts";
import { openInput } from "../src/io/input.ts";
import { readOptions } from "../src/model/open-stream.ts";
import { readStream as visit } from "../src/model/read-stream.ts";
import { runProgram } from "../src/program.ts";
import { ramFiles } from "../src/ram/ram-files.ts";
import { folderFor, hashOf, inMemory, quiet, tinyPasses } from "./ram-support.ts";
import { type RunInit, runCli } from "./run-cli.ts";

const folder = folderFor("convert");
afterAll(() => folder.remove());

let places = 0;
const fresh = (extension: string): string => join(folder.path, `${places++}.${extension}`);
const convert = (args: readonly string[], init: RunInit = {}) =>
  runCli(["convert", ...args], { folder: folder.path, ...init });
const leftOver = (): string[] => readdirSync(folder.path).filter((name) => name.includes("partial"));

/** Converts, and must do so. */
async function made(input: string, extension: string, ...more: readonly string[]): Promise<string> {
  const output = fresh(extension);
  const run = await convert([input, output, ...more]);
  expect(run).toMatchObject({ code: 0, stdout: "" });
  return output;
}

const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(path));

interface Parts {
  readonly machineType: string | undefined;
  readonly capabilities: readonly string[];
  readonly devices: readonly string[];
  readonly commands: readonly string[];
  readonly order: readonly string[];
  readonly records: Readonly<Record<string, number>>;
  readonly vmdesc: unknown;
  readonly configurationListed: unknown;
}

/** All but the content of RAM. */
async function partsOf(path: string, vmdesc?: string): Promise<Parts> {
  const input = await openInput(path, quiet);
  const devices: string[] = [];
  const commands: string[] = [];
  const order: string[] = [];
  const records: Record<string, number> = {};
  try {
    const options = await readOptions({ hold: "64M", ...(vmdesc !== undefined && { vmdesc }) }, quiet);
    const read = await visit(input, options, {
      section({ phase, key, head, body, ram }) {
        order.push(`${key} ${phase}`);
        if (body !== undefined) devices.push(`${phase} ${head.sectionId} ${key} v${head.version} ${hashOf(body)}`);
        for (const [kind, count] of Object.entries(ram?.records ?? {})) records[kind] = (records[kind] ?? 0) + count;
      },
      command: ({ name, payload }) => void commands.push(`${name} ${hashOf(payload)}`),
    });
    const { configuration: listed, ...described } = read.vmdesc ?? {};
    return {
      machineType: read.configuration?.machineType,
      capabilities: read.configuration?.capabilities ?? [],
      devices,
      commands,
      order,
      records,
      vmdesc: described,
      configurationListed: listed,
    };
  } finally {
    input.close();
  }
}

const ramOf = (bytes: Uint8Array): string[] =>
  [...inMemory(bytes)].map(([idstr, block]) => `${idstr} ${block.bytes.length} ${hashOf(block.bytes)}`);

const plain = ["tiny-precopy-7.2", "tiny-xbzrle-7.2", "tiny-compress-7.2", "q35-bare-10.0-m10.0", "s390-ccw-5dev-10.0"];
plain.push("q35-vtd-virtio-7.2");

describe.skipIf(!haveStreams())("convert to a plain stream", () => {
  it.each(plain)(
    "%s: each page once, whole or zero; devices and vmdesc as they were; again, the same",
    async (name) => {
      const raw = `${name}.stream`;
      const output = await made(streamFile(raw), "stream");
      const [before, after] = [await partsOf(streamFile(raw)), await partsOf(output)];
      const { records, order } = after;
      expect({ ...after, records: 0, order: 0 }).toEqual({ ...before, records: 0, order: 0 });
      const once = before.order.filter((one, index) => one !== "ram/0 part" || before.order.indexOf(one) === index);
      expect(order).toEqual(once);
      const original = readStream(raw);
      const pages = [...inMemory(original).values()].reduce((sum, { bytes }) => sum + bytes.length / 4096, 0);
      expect(Object.keys(records).sort()).toEqual(["eos", "memsize", "page", "zero"]);
      expect((records["page"] ?? 0) + (records["zero"] ?? 0)).toBe(pages);
      expect(ramOf(bytesOf(output))).toEqual(ramOf(original));
      const again = await made(output, "stream");
      expect(Buffer.compare(readFileSync(again), readFileSync(output))).toBe(0);
    },
  );

  it.each(["7.2", "10.0"])("main and channels of multifd of %s", async (version) => {
    const files = ["main", "ch1", "ch0"].map((one) => streamFile(`tiny-multifd-${version}.${one}.stream`));
    const [main = "", ...channels] = files;
    const output = await made(main, "stream", ...channels.flatMap((channel) => ["--channel", channel]));
    const [before, after] = [await partsOf(main), await partsOf(output)];
    expect({ ...after, records: 0 }).toEqual({ ...before, records: 0 });
    expect(after.records).toEqual({ memsize: 1, eos: 3, page: 2171, zero: 4103 });
    const memory = inMemory(bytesOf(output)).get("pc.ram")?.bytes as Uint8Array;
    expect(tinyPasses(memory)).toEqual({ wrong: 0, pages: 2048, first: 4, last: 4 });
  });

  it("other iterables in their places, and the vmdesc's own bytes, of which a parser would lose some", async () => {
    const raw = "pseries-hotplug-net-cpu-dimm-7.2.stream";
    const output = await made(streamFile(raw), "stream");
    const [before, after] = [await partsOf(streamFile(raw)), await partsOf(output)];
    expect(after).toMatchObject({ devices: before.devices, order: before.order });
    expect(after.order.slice(0, 6)).toEqual(
      ["start", "part", "end"].flatMap((phase) => [`ram/0 ${phase}`, `spapr/htab/0 ${phase}`]),
    );
    const [stream, result] = [readStream(raw), bytesOf(output)];
    const { at = 0 } = findVmdesc(stream.subarray(-(1 << 21))) ?? {};
    const bytes = Math.min(stream.length, 1 << 21) - at;
    expect(bytes).toBeGreaterThan(10_000);
    expect(Buffer.compare(result.subarray(-bytes), stream.subarray(-bytes))).toBe(0);
  });

  it("a post-copy stream: devices behind RAM, no word to a destination that answers", async () => {
    const raw = "tiny-postcopy-7.2.stream";
    const vmdesc = streamFile("tiny-precopy-7.2.stream");
    const output = fresh("stream");
    const run = await convert([streamFile(raw), output, "--vmdesc", vmdesc, "--json"]);
    const document = JSON.parse(run.stdout);
    expect(document).toMatchObject({
      from: "stream",
      to: "stream",
      machineType: "pc-q35-7.2",
      bytes: statSync(output).size,
    });
    expect(document.droppedCommands).toEqual([
      ...["OPEN_RETURN_PATH", "PING", "POSTCOPY_ADVISE", "POSTCOPY_RAM_DISCARD", "PING", "PACKAGED"],
      ...["POSTCOPY_LISTEN", "PING", "POSTCOPY_RUN", "PING"],
    ]);
    const [before, after] = [await partsOf(streamFile(raw), vmdesc), await partsOf(output, vmdesc)];
    expect(after.commands).toEqual([]);
    expect(after.devices).toEqual(before.devices);
    expect(before.order.indexOf("ram/0 end")).toBeGreaterThan(before.order.indexOf("timer/0 full"));
    expect(after.order.slice(0, 4)).toEqual(["ram/0 start", "ram/0 part", "ram/0 end", "timer/0 full"]);
    const memory = inMemory(bytesOf(output)).get("pc.ram")?.bytes as Uint8Array;
    expect(tinyPasses(memory)).toMatchObject({ wrong: 0, first: 8 });
  });

  it("into a pipe that its reader closes: nothing stays in the system's folder", async () => {
    const ours = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("godwit."));
    const [before, listening] = [ours(), process.listeners("exit")];
    const during: (readonly [made: number, left: number])[] = [];
    const write = async (): Promise<void> => {
      if (during.length > 0) return;
      const made = ours().length - before.length;
      // What main.ts does then: the process ends where it is.
      for (const listener of process.listeners("exit")) if (!listening.includes(listener)) listener.call(process, 0);
      during.push([made, ours().length - before.length]);
    };
    const terminal = { ...quiet, write };
    expect(await runProgram(["convert", streamFile("tiny-precopy-7.2.stream"), "-"], terminal)).toBe(0);
    expect([during, ours()]).toEqual([[[1, 0]], before]);
  });

  it("into a pipe, out of one, in pieces that do not grow with RAM", async () => {
    const stream = readStream("tiny-precopy-7.2.stream");
    const pieces = function* () {
      for (let at = 0; at < stream.length; at += 300_007) yield stream.subarray(at, at + 300_007);
    };
    const run = await convert(["-", "-"], { stdin: pieces() });
    expect([run.code, run.stdout]).toEqual([0, ""]);
    const file = await made(streamFile("tiny-precopy-7.2.stream"), "stream");
    expect(Buffer.compare(run.bytes, readFileSync(file))).toBe(0);
    let longest = 0;
    const write = async ({ length }: Uint8Array): Promise<void> => {
      longest = Math.max(longest, length);
    };
    const stdin = (async function* () {
      yield* pieces();
    })();
    const terminal = { ...quiet, stdin, stdinIsTerminal: false, write };
    expect(await runProgram(["convert", "-", "-"], terminal)).toBe(0);
    expect(longest).toBeGreaterThan(1 << 19);
    expect(longest).toBeLessThan((1 << 20) + 2 * 4096);
  });
});

describe("blocks that do not travel", () => {
  const page = 4096;
  const written = (): string => {
    const writer = new StreamWriter({ pageBytes: page });
    const { out } = writer;
    const configuration = { machineType: "none", pageBits: 0, capabilities: ["x-ignore-shared"], uuid: undefined };
    writer.header();
    writer.configuration(configuration);
    writer.start({ sectionId: 2, idstr: "ram", instance: 0, version: 4 });
    writeRamRecord(out, { kind: "memsize", value: 3 * page });
    const block = { idstr: "own", length: page, address: 0x10_0000n };
    writeListedBlock(out, { idstr: "shared", length: 2 * page, address: 0n });
    writeListedBlock(out, block);
    writeRamRecord(out, { kind: "eos", value: 0 });
    writer.footer(2);
    writer.continue("end", 2);
    const head = { kind: "page", block, offset: 0, continues: false, fill: 0, payloadBytes: page } as const;
    writeRamRecord(out, head, new Uint8Array(page).fill(9));
    writeRamRecord(out, { kind: "eos", value: 0 });
    writer.footer(2);
    writer.finish();
    const file = fresh("stream");
    writeFileSync(file, out.flush());
    return file;
  };

  it("stay out of a stream, which keeps their addresses; and go into no mapped-ram file", async () => {
    const input = written();
    expect(Buffer.compare(readFileSync(await made(input, "stream")), readFileSync(input))).toBe(0);
    const refused = await convert([input, fresh("mapped"), "--json"]);
    expect([refused.code, JSON.parse(refused.stdout).error.code, leftOver()]).toEqual([1, "CONVERT_SHARED", []]);
  });
});

describe("pages as records", () => {
  it("a page of zeros that came as a page goes out as the zero that it is", () => {
    const target = fresh("images");
    mkdirSync(target);
    const page = 4096;
    const block = { idstr: "a", length: 3 * page };
    const ram = ramFiles({ folder: target, pageBytes: () => page });
    ram.ram.onBlock?.(block);
    for (const [number, fill] of [7, 0].entries()) {
      ram.target.store(block, number * page, new Uint8Array(page).fill(fill), 0, page);
      ram.target.arrive(block, number * page);
    }
    expect(ram.blocks.get("a")?.written.count).toBe(2);
    const data = new Uint8Array(Buffer.concat([...pageData(ram, () => false)]));
    ram.close();
    const [words, name, zero] = [4 * 8, 2, 1];
    expect(data.length).toBe(words + name + page + 2 * zero);
    // The second and third: ZERO and CONTINUE.
    const view = new DataView(data.buffer);
    expect([8 + name + page, 8 + name + page + 9].map((at) => view.getBigUint64(at))).toEqual([0x1022n, 0x2022n]);
  });
});

describe.skipIf(!haveStreams())("convert and mapped-ram", () => {
  const raw = "tiny-mappedram-10.0.stream";

  it("QEMU's file, made a stream and made a file again, is that file byte for byte", async () => {
    const stream = await made(streamFile(raw), "stream");
    const parts = await partsOf(stream);
    const original = await partsOf(streamFile(raw));
    expect(original.capabilities).toEqual(["mapped-ram"]);
    expect(parts).toMatchObject({
      capabilities: [],
      devices: original.devices,
      commands: original.commands,
      vmdesc: original.vmdesc,
    });
    expect(parts.records).toEqual({ memsize: 1, eos: 3, page: 2171, zero: 4103 });
    expect(parts.configurationListed).toEqual(
      (await partsOf(streamFile("q35-bare-10.0-m10.0.stream"))).configurationListed,
    );
    expect(tinyPasses(inMemory(bytesOf(stream)).get("pc.ram")?.bytes as Uint8Array).wrong).toBe(0);
    const mapped = await made(stream, "mapped");
    expect(Buffer.compare(readFileSync(mapped), readStream(raw))).toBe(0);
    expect(statSync(mapped).blocks * 512).toBeLessThan(2171 * 4096 + (1 << 20));
    // Straight away, too.
    expect(Buffer.compare(readFileSync(await made(streamFile(raw), "mapped")), readStream(raw))).toBe(0);
  });

  it.each(["tiny-xbzrle-7.2", "tiny-compress-7.2", "q35-bare-7.2"])(
    "%s, made a file and made a stream again: equal RAM, equal devices",
    async (name) => {
      const mapped = await made(streamFile(`${name}.stream`), "mapped-ram");
      expect((await partsOf(mapped)).capabilities).toEqual(["mapped-ram"]);
      const stream = await made(mapped, "stream");
      const direct = await made(streamFile(`${name}.stream`), "stream");
      expect(Buffer.compare(readFileSync(stream), readFileSync(direct))).toBe(0);
      const [before, after] = [await partsOf(streamFile(`${name}.stream`)), await partsOf(mapped)];
      expect(after).toMatchObject({ devices: before.devices, commands: before.commands, vmdesc: before.vmdesc });
    },
  );

  it("of multifd and of post-copy", async () => {
    const [main = "", ...channels] = ["main", "ch0", "ch1"].map((one) => streamFile(`tiny-multifd-10.0.${one}.stream`));
    const given = channels.flatMap((channel) => ["--channel", channel]);
    const mapped = await made(main, "mapped", ...given);
    expect(ramOf(bytesOf(mapped))).toEqual(ramOf(bytesOf(await made(main, "stream", ...given))));
    const vmdesc = ["--vmdesc", streamFile("tiny-precopy-7.2.stream")];
    const postcopy = await made(streamFile("tiny-postcopy-7.2.stream"), "mapped", ...vmdesc);
    expect(ramOf(bytesOf(postcopy))).toEqual(
      ramOf(bytesOf(await made(streamFile("tiny-postcopy-7.2.stream"), "stream", ...vmdesc))),
    );
  });
});

describe.skipIf(!haveStreams())("convert and checkpoints", () => {
  it("a stream and a mapped-ram file, kept and taken out again, are what they were", async () => {
    const checkpoint = fresh("checkpoint");
    const [one, two] = [streamFile("tiny-xbzrle-7.2.stream"), streamFile("tiny-mappedram-10.0.stream")];
    expect(await convert([one, checkpoint, "--name", "one"])).toMatchObject({ code: 0 });
    const alone = statSync(checkpoint).size;
    expect(await convert([two, checkpoint, "--name", "two"])).toMatchObject({ code: 0 });
    expect(alone).toBeLessThan(1 << 20);
    const plain = await made(one, "stream");
    expect(
      Buffer.compare(readFileSync(await made(checkpoint, "stream", "--recording", "one")), readFileSync(plain)),
    ).toBe(0);
    const mapped = await made(checkpoint, "mapped");
    expect(Buffer.compare(readFileSync(mapped), readStream("tiny-mappedram-10.0.stream"))).toBe(0);
    const other = fresh("checkpoint");
    const { stdout } = await convert([checkpoint, other, "--recording", "one", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ from: "checkpoint", to: "checkpoint", bytes: statSync(plain).size });
    expect(Buffer.compare(readFileSync(await made(other, "stream")), readFileSync(plain))).toBe(0);
  });
});

describe.skipIf(!haveStreams())("convert refuses", () => {
  const tiny = haveStreams() ? streamFile("tiny-xbzrle-7.2.stream") : "";

  it("RAM that is not whole, and leaves nothing", async () => {
    for (const extension of ["stream", "mapped", "checkpoint"]) {
      const output = fresh(extension);
      const run = await convert([streamFile("tiny-multifd-7.2.main.stream"), output, "--json"]);
      expect(run.code).toBe(1);
      expect(JSON.parse(run.stdout)).toMatchObject({
        error: { code: "RAM_MISSING", section: "ram/0", hint: expect.stringMatching(/--channel/) },
      });
      expect([existsSync(output), leftOver()]).toEqual([false, []]);
    }
  });

  it("a stream that is cut, and leaves nothing", async () => {
    const stream = readStream("tiny-xbzrle-7.2.stream");
    for (const bytes of [9_000_000, stream.length - 20]) {
      const cut = fresh("stream");
      writeFileSync(cut, stream.subarray(0, bytes));
      for (const extension of ["stream", "mapped", "checkpoint"]) {
        const output = fresh(extension);
        const run = await convert([cut, output, "--json"]);
        expect([run.code, existsSync(output), leftOver()]).toEqual([1, false, []]);
        expect(JSON.parse(run.stdout)).toMatchObject({
          error: { code: expect.stringMatching(/STREAM_TRUNCATED|SECTION_UNDELIMITED/) },
        });
      }
    }
  });

  it("to write over what is there, until --overwrite", async () => {
    const output = fresh("stream");
    writeFileSync(output, "mine");
    expect(await convert([tiny, output])).toMatchObject({ code: 2, stderr: expect.stringMatching(/OUTPUT_EXISTS/) });
    expect(readFileSync(output, "utf8")).toBe("mine");
    expect((await convert([tiny, output, "--overwrite"])).code).toBe(0);
    expect(statSync(output).size).toBeGreaterThan(1 << 20);
    expect((await convert([tiny, output, "--overwrite", "--to", "mapped-ram"])).code).toBe(0);
    expect((await partsOf(output)).capabilities).toEqual(["mapped-ram"]);
    expect(leftOver()).toEqual([]);
  });

  it.each(["stream", "mapped"])("to write over what came to the place of a %s meanwhile", async (extension) => {
    const stream = readStream("tiny-xbzrle-7.2.stream");
    const output = fresh(extension);
    const stdin = (function* () {
      yield stream.subarray(0, 1 << 20);
      writeFileSync(output, "mine");
      yield stream.subarray(1 << 20);
    })();
    expect(await convert(["-", output], { stdin })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/OUTPUT_EXISTS/),
    });
    expect([readFileSync(output, "utf8"), leftOver()]).toEqual(["mine", []]);
  });

  it("a recording that a checkpoint does not have, and says which it has", async () => {
    const checkpoint = await made(tiny, "checkpoint", "--name", "one");
    const run = await convert([checkpoint, fresh("stream"), "--recording", "two"]);
    expect(run).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no recording "two" \(CHECKPOINT_NAME\)\n.*one/),
    });
  });

  it("a terminal for its output", async () => {
    const notes: string[] = [];
    const note = (line: string): void => void notes.push(line);
    const write = async (): Promise<void> => expect.unreachable("written");
    const terminal = { ...quiet, stdoutIsTerminal: true, note, write };
    expect(await runProgram(["convert", tiny, "-"], terminal)).toBe(2);
    expect(notes[0]).toMatch(/OUTPUT_TERMINAL/);
  });

  const wrongUses: readonly (readonly [args: readonly string[], code: string])[] = [
    [["x.img"], "CONVERT_FORMAT"],
    [["x.stream", "--to", "qcow2"], "CONVERT_FORMAT"],
    [["-", "--to", "mapped-ram"], "CONVERT_PIPE"],
    [["-", "--json"], "CONVERT_PIPE"],
    [["x.checkpoint", "--overwrite"], "CONVERT_OVERWRITE"],
    [["x.stream", "--name", "one"], "CONVERT_NAME"],
    [["x.stream", "--recording", "one"], "INPUT_RECORDING"],
    [["nowhere/x.stream"], "OUTPUT_WRITE"],
  ];
  it.each(wrongUses)("%j", async (args, code) => {
    const run = await convert([tiny, ...args]);
    expect(run).toMatchObject({ code: 2, stderr: expect.stringMatching(`\\(${code}\\)`) });
    expect(existsSync(join(folder.path, "x.stream"))).toBe(false);
  });
});
