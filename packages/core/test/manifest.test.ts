// The manifest: what a machine is made of, as its saves tell for ever, to anybody.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { markedList } from "@godwit/test-support/plans";
import { absent } from "@godwit/test-support/required";
import { haveStreams, readStream, manifest as streams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { busy, saveOf } from "../examples/releases/golden.ts";
import {
  array,
  contract,
  createKernel,
  type Field,
  former,
  isMigrationError,
  type Manifest,
  MigrationError,
  named,
  pointer,
  pointers,
  since,
  stateless,
  struct,
  subsection,
  tmp,
  u8,
  virtualClock,
  vmstate,
  vstruct,
} from "../src/index.ts";
import { findVmdesc, manifestOf, readManifest, StreamReader, type Vmdesc, vmdescText } from "../src/stream/index.ts";
import { memory } from "./machine.ts";

const qemuBinary = "qemu-system-x86_64";
const cell = vmstate({ name: "cell", version: 3, minimumVersion: 2, fields: { x: u8 } });
const init = { save: () => ({ x: 1 }), load: () => {} };

function machine(producer?: { name: string; version: string }) {
  const kernel = createKernel({
    machineType: "made-of",
    ...(producer === undefined ? {} : { producer }),
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const more = subsection({
    name: "big/more",
    version: 1,
    fields: { n: u8 },
    needed: (s) => s.n > 0,
    absent: { n: 0 },
  });
  const big = vmstate({
    name: "big",
    version: 1,
    fields: { x: u8 },
    subsections: { more },
    needed: (s) => s.x > 0,
    absent: { x: 0, more: { n: 0 } },
  });
  kernel.iterable({
    ...memory({ bytes: new Uint8Array(64), staged: 0, committed: 0 }),
    ramBlocks: () => [{ idstr: "main", bytes: 64 }],
  });
  kernel.device(cell, {
    ...init,
    path: "slot",
    formerly: ["old", former(big, { convert: ({ x }) => ({ x }) })].slice(0, 1),
  });
  kernel.device({ ...cell, name: "irq" }, { ...init, alias: 32, path: "isa", instance: 4 });
  kernel.device(stateless("nothing"), { save: () => ({}), load: () => {} });
  const into = kernel.device({ ...cell, name: "sum" }, init);
  kernel.merged(into, {
    from: { a: { description: big }, c: { description: cell, instance: 7 } },
    convert: () => ({ x: 1 }),
  });
  kernel.retired({ ...cell, name: "gone" }, { path: "p" });
  kernel.kind({ ...cell, name: "card", subsections: { more } } as never, () => init as never);
  kernel.use({ name: "plug", version: "1.2.3", contract: 2, setup: () => {} });
  return kernel;
}

const cellVersions = { version: 3, minimumVersion: 2, subsections: [], optional: false };
const whole: Manifest = {
  producer: { name: "emulator", version: "7.1" },
  contract,
  machineType: "made-of",
  sections: [
    { idstr: "timer", instance: 0, version: 2, minimumVersion: 1, subsections: [], optional: false },
    { idstr: "memory", instance: 0, version: 1, minimumVersion: 1, subsections: [], optional: false },
    { idstr: "slot/cell", instance: 0, ...cellVersions },
    { idstr: "isa/irq", instance: 0, ...cellVersions },
    { idstr: "nothing", instance: 0, version: 0, minimumVersion: 0, subsections: [], optional: true },
    { idstr: "sum", instance: 0, ...cellVersions },
  ],
  reads: [
    { idstr: "old", instance: 0, ...cellVersions, into: ["slot/cell/0"], with: [] },
    {
      idstr: "big",
      instance: 0,
      version: 1,
      minimumVersion: 1,
      subsections: ["big/more"],
      optional: true,
      into: ["sum/0"],
      with: ["cell/7"],
    },
    { idstr: "cell", instance: 7, ...cellVersions, into: ["sum/0"], with: ["big/0"] },
    { idstr: "p/gone", instance: 0, ...cellVersions, into: [], with: [] },
    // The names of streams without paths, and an alias.
    { idstr: "cell", instance: 0, ...cellVersions, into: ["slot/cell/0"], with: [] },
    { idstr: "isa/irq", instance: 32, ...cellVersions, into: ["isa/irq/0"], with: [] },
    { idstr: "irq", instance: 32, ...cellVersions, into: ["isa/irq/0"], with: [] },
    { idstr: "irq", instance: 4, ...cellVersions, into: ["isa/irq/0"], with: [] },
  ],
  kinds: [{ name: "card", version: 3, minimumVersion: 2, subsections: ["big/more"] }],
  ramBlocks: [{ idstr: "main", bytes: 64 }],
  plugins: [{ name: "plug", version: "1.2.3", contract: 2 }],
};

describe("a kernel's manifest", () => {
  it("names producer, contract, sections, what it reads, kinds, memory and plugins", () => {
    expect(machine({ name: "emulator", version: "7.1" }).manifest()).toEqual(whole);
  });

  it("does not give a legacy name that is another device's own, or is read for an earlier one", () => {
    const kernel = createKernel({
      machineType: "m",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    kernel.device(cell, { ...init, path: "a" });
    expect(kernel.manifest().reads.map(({ idstr, into }) => `${idstr} ${into}`)).toEqual(["cell a/cell/0"]);
    const plain = kernel.device(cell, init);
    expect(kernel.manifest().reads).toEqual([]);
    plain.remove();
    kernel.retired(cell);
    expect(kernel.manifest().reads.map(({ idstr, into }) => `${idstr} ${into}`)).toEqual(["cell "]);
  });

  it("is plain data, and nobody else's", () => {
    const producer = { name: "emulator", version: "7.1", secret: 1 };
    const manifest = machine(producer).manifest();
    expect(JSON.parse(JSON.stringify(manifest))).toEqual(manifest);
    expect(manifest).toEqual(whole);
    producer.version = "8";
    expect(manifest.producer?.version).toBe("7.1");
  });

  it("has no producer where none was given", () => {
    expect("producer" in machine().manifest()).toBe(false);
  });
});

describe("the subsections that a manifest names", () => {
  const sub = (name: string) => subsection({ name, version: 1, fields: { n: u8 }, absent: { n: 0 } });
  const deep = sub("a/b/c");
  const nested = subsection({
    name: "a/b",
    version: 1,
    fields: { n: u8 },
    subsections: { deep },
    absent: { n: 0, deep: { n: 0 } },
  });
  const part = vmstate({ name: "part", version: 1, fields: { lead: u8 }, subsections: { own: sub("part/own") } });

  it.each<[string, Field, string[]]>([
    ["a struct", struct(part), ["part/own"]],
    ["a struct of a struct", struct(vmstate({ name: "p", version: 1, fields: { in: struct(part) } })), ["part/own"]],
    ["a struct of a given version", vstruct(part, 1), ["part/own"]],
    ["an array", array(struct(part), 2), ["part/own"]],
    ["pointers", pointers(pointer(struct(part)), 2, () => false), ["part/own"]],
    ["what stands on the wire in another shape", tmp(part, { save: (v) => v as never, load: (v) => v }), ["part/own"]],
    ["a field that may be missing", since(1, struct(part), { absent: { lead: 0, own: { n: 0 } } }), ["part/own"]],
    ["a field under another name", named("regs[0]", struct(part)), ["part/own"]],
    ["a list that says what it holds", markedList(struct(part)), ["part/own"]],
    ["a number", u8, []],
  ])("are those of %s, and of subsections in subsections", (_, field, names) => {
    const of = vmstate({ name: "a", version: 1, fields: { field }, subsections: { nested } });
    const kernel = machine();
    kernel.device(of, { save: () => ({}) as never, load: () => {} });
    expect(kernel.manifest().sections.at(-1)?.subsections).toEqual(["a/b", "a/b/c", ...names]);
  });
});

describe("a handler whose ramBlocks throws", () => {
  it.each([
    [new Error("boom"), "DEVICE_FAILED"],
    [new MigrationError("RAM_BLOCK_MISMATCH", "another length"), "RAM_BLOCK_MISMATCH"],
  ])("%s is told with its section, and ends the save", async (thrown, code) => {
    const kernel = machine();
    kernel.iterable({
      ...memory({ bytes: new Uint8Array(64), staged: 0, committed: 0 }),
      idstr: "more",
      ramBlocks: () => {
        throw thrown;
      },
    });
    const error = await refusal(saveOf({ kernel }));
    expect([error.code, error.location]).toEqual([code, { side: "source", section: "more/0" }]);
    if (code === "DEVICE_FAILED") expect(error.cause).toBe(thrown);
    expect(errorOf(() => kernel.manifest()).location.section).toBe("more/0");
    kernel.device({ ...cell, name: "later" }, init);
  });
});

describe("readManifest", () => {
  it("gives the manifest of a save", async () => {
    const kernel = machine({ name: "emulator", version: "7.1" });
    expect(readManifest(await saveOf({ kernel }))).toEqual(whole);
    expect(readManifest(await saveOf({ kernel: machine() }))).toEqual({ ...whole, producer: undefined });
  });

  it("gives names in any script as they were", async () => {
    const producer = { name: 'é"\\\u{1f426}\u007f', version: "１" };
    expect(readManifest(await saveOf({ kernel: machine(producer) }))?.producer).toEqual(producer);
  });

  it("needs nothing of what made the save: no device, no registry, no kernel", async () => {
    const { producer, sections } = readManifest(await saveOf(busy[5]())) as Manifest;
    expect(producer).toEqual({ name: "home-computer", version: "5.0.0" });
    expect(sections.map(({ idstr, version }) => `${idstr} ${version}`)).toEqual([
      "timer 2",
      "ram 1",
      "uart 1",
      "rtc 1",
      "psg 1",
      "mixer 1",
      "input 1",
      "modem 2",
      "network 1",
      "slot-2/cartridge 1",
    ]);
    const source = fileURLToPath(new URL("../src/", import.meta.url));
    const modules = new Set([join(source, "stream/manifest.ts")]);
    for (const file of modules) {
      const statements = readFileSync(file, "utf8").matchAll(/^(?:import|export)(?! type)[^;]*? from "(\.[^"]+)";$/gm);
      for (const [, path] of statements) modules.add(join(dirname(file), path as string));
    }
    const names = [...modules].map((file) => relative(source, file).replaceAll("\\", "/"));
    expect(names).toContain("stream/vmdesc.ts");
    expect(names.filter((name) => !/^(stream\/|errors\.ts|utf8\.ts)/.test(name))).toEqual([]);
  });

  it("gives nothing for a snapshot, or for what is no save", () => {
    expect(readManifest(machine().snapshot())).toBeUndefined();
    expect(readManifest(new Uint8Array())).toBeUndefined();
    expect(readManifest(Uint8Array.of(0x7d))).toBeUndefined();
    expect(readManifest(new Uint8Array(100).fill(0x7d))).toBeUndefined();
  });

  it("gives an earlier release's manifest with what it did not say yet", () => {
    const { contract: _, reads: __, kinds: ___, ...first } = whole;
    const vmdesc = { page_size: 4096, devices: [], godwit: first };
    expect(manifestOf(vmdesc)).toEqual({ ...first, contract: 1, reads: [], kinds: [] });
  });

  it("gives nothing that it does not know", () => {
    const [cellSection, ...others] = whole.sections;
    const sections = [{ ...cellSection, extra: 1 }, ...others];
    const godwit = { ...whole, sections, more: [], producer: { ...whole.producer, more: 1 } };
    expect(manifestOf({ page_size: 4096, devices: [], godwit })).toEqual(whole);
  });

  it.each<[string, unknown, string, string]>([
    ["godwit", null, "an object", "null"],
    ["godwit", [], "an object", "a list"],
    ["godwit", "x", "an object", '"x"'],
    ["producer", 1, "an object", "1"],
    ["producer.name", 1, "a string", "1"],
    ["producer.version", undefined, "a string", "undefined"],
    ["contract", "2", "a count", '"2"'],
    ["contract", -1, "a count", "-1"],
    ["contract", 1.5, "a count", "1.5"],
    ["machineType", undefined, "a string", "undefined"],
    ["sections", {}, "a list", "object"],
    ["sections[1]", null, "an object", "null"],
    ["sections[1].idstr", 1, "a string of 1 to 255 bytes", "1"],
    ["sections[1].idstr", "", "a string of 1 to 255 bytes", '""'],
    ["sections[1].idstr", "é".repeat(128), "a string of 1 to 255 bytes", JSON.stringify("é".repeat(99))],
    ["sections[1].instance", 2 ** 32, "an integer from 0 to 4294967295", "4294967296"],
    ["sections[1].instance", -1, "an integer from 0 to 4294967295", "-1"],
    ["sections[1].version", 0.5, "an integer from 0 to 4294967295", "0.5"],
    ["sections[0].minimumVersion", 3, "an integer from 0 to 2", "3"],
    ["sections[2]", { ...whole.sections[1] }, "each of them once", '"memory/0"'],
    ["reads[1]", { ...whole.reads[0] }, "each of them once", '"old/0"'],
    ["reads[0].minimumVersion", 4, "an integer from 0 to 3", "4"],
    ["kinds[1]", { ...whole.kinds[0] }, "each of them once", '"card"'],
    ["kinds[0].name", "", "a string of 1 to 255 bytes", '""'],
    ["sections[1].optional", 1, "true or false", "1"],
    ["sections[1].subsections", "x", "a list", '"x"'],
    ["sections[1].subsections[0]", 1, "a string", "1"],
    ["reads", 1, "a list", "1"],
    ["reads[1].into", undefined, "a list", "undefined"],
    ["reads[1].with[0]", null, "a string", "null"],
    ["kinds[0].name", null, "a string of 1 to 255 bytes", "null"],
    ["kinds[0].version", true, "an integer from 0 to 4294967295", "boolean"],
    ["ramBlocks[0].bytes", "64", "a count", '"64"'],
    ["plugins[0].contract", null, "a count", "null"],
    ["plugins[0]", 3, "an object", "3"],
  ])("refuses %s = %j by its path", async (path, value, expected, found) => {
    const save = await saveOf({ kernel: machine({ name: "e", version: "1" }) });
    const bad = withVmdesc(save, (vmdesc) => {
      const top = JSON.parse(JSON.stringify(vmdesc)) as Record<string, unknown>;
      const steps = path === "godwit" ? ["godwit"] : ["godwit", ...path.split(/[.[\]]+/).filter((step) => step !== "")];
      let at = top;
      for (const step of steps.slice(0, -1)) at = at[step] as Record<string, unknown>;
      at[steps.at(-1) as string] = value;
      return top as unknown as Vmdesc;
    });
    const error = errorOf(() => readManifest(bad));
    const full = path === "godwit" ? path : `godwit.${path}`;
    expect([error.code, error.location, error.expected, error.found]).toEqual([
      "VMDESC_INVALID",
      { side: "destination", section: "vmdesc", path: full, offset: findVmdesc(bad)?.at },
      expected,
      found,
    ]);
  });

  it("refuses a description that is no JSON", async () => {
    const save = await saveOf({ kernel: machine() });
    const at = findVmdesc(save)?.at as number;
    const bad = save.slice();
    bad[at + 6] = 0x21;
    const error = errorOf(() => readManifest(bad));
    expect(error.code).toBe("VMDESC_INVALID");
    expect(error.location).toEqual({ side: "destination", section: "vmdesc", offset: at });
    // A reader of the whole stream refuses it as well.
    const reader = new StreamReader({ open: () => undefined, footerScan: true });
    const read = () => [reader.push(bad), reader.end()];
    expect(errorOf(read).code).toBe("VMDESC_INVALID");
  });
});

describe("the longest description", () => {
  const called = (bytes: number) => machine({ name: "n".repeat(bytes), version: "1" });

  it("is the same for who writes and who reads", async () => {
    const kernel = called(9 << 20);
    const chunks: Uint8Array[] = [];
    for await (const chunk of kernel.save()) chunks.push(chunk);
    const save = new Uint8Array(Buffer.concat(chunks));
    expect((await kernel.load(save)).bytes).toBe(save.length);
    expect(readManifest(save)?.producer?.name.length).toBe(9 << 20);
    const attempt = called(64 << 20).outgoing();
    expect([...attempt.setup()].length).toBeGreaterThan(0);
    const error = errorOf(() => [...attempt.complete()]);
    expect([error.code, error.location, error.expected]).toEqual([
      "LENGTH_BOUND",
      { side: "source", section: "vmdesc", path: "vmdesc.length" },
      `at most ${64 << 20}`,
    ]);
  });

  it("is refused where it is longer, before it is looked at", () => {
    const length = (64 << 20) + 1;
    const bytes = new Uint8Array(length + 6).fill(0x20);
    bytes.set([0, 6], 0);
    new DataView(bytes.buffer).setUint32(2, length);
    bytes[6] = 0x7b;
    bytes[bytes.length - 1] = 0x7d;
    const error = errorOf(() => readManifest(bytes));
    expect([error.code, error.location, error.found]).toEqual([
      "LENGTH_BOUND",
      { side: "destination", section: "vmdesc", path: "vmdesc.length", offset: 1 },
      String(length),
    ]);
  });
});

describe("a save with a manifest", () => {
  it("is read as any other, and loads whatever the manifest says", async () => {
    const save = await saveOf(busy[5]());
    const reader = new StreamReader({ open: () => undefined });
    const events = [...reader.push(save), ...reader.end()];
    const sections = events.filter((event) => event.type === "section");
    expect(sections.map(({ delimitedBy }) => delimitedBy)).toEqual(sections.map(() => "vmdesc"));
    const found = events.find((event) => event.type === "vmdesc");
    expect(found !== undefined && manifestOf(found.vmdesc)).toEqual(readManifest(save));
    const odd = withVmdesc(save, (vmdesc) => ({ ...vmdesc, godwit: 5 }));
    const of = busy[5]();
    of.rtc.now_ns = 0n;
    await of.kernel.load(odd);
    expect(of.rtc.now_ns).toBe(1_000_000_005_123_456_789n);
  });
});

describe.skipIf(!haveStreams())("a stream of QEMU's", () => {
  const names = haveStreams()
    ? streams().flatMap(({ files }) => files.filter(({ bytes }) => bytes < 1 << 20).map(({ raw }) => raw))
    : [];

  it.each(names.slice(0, 12))("%s has no manifest", (name) => {
    expect(readManifest(readStream(name))).toBeUndefined();
  });

  it.skipIf(!haveQemu())("loads in QEMU with a manifest, as without", { timeout: 120_000 }, async () => {
    const raw = readStream("q35-bare-7.2.stream");
    const more = withVmdesc(raw, (vmdesc) => ({ ...vmdesc, godwit: whole }));
    expect(more.length).toBeGreaterThan(raw.length + 1000);
    expect(readManifest(more)).toEqual(whole);
    expect(await loadInQemu(raw)).toBe("completed");
    expect(await loadInQemu(more)).toBe("completed");
    // What this sees: a stream that QEMU cannot load.
    const timer = [...raw].findIndex((_, i) => String.fromCharCode(...raw.subarray(i, i + 6)) === "\u0005timer");
    expect(await loadInQemu(raw.with(timer + 1, 0x54))).not.toBe("completed");
  });
});

async function refusal(work: Promise<unknown>): Promise<MigrationError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (isMigrationError(error)) return error;
  throw error ?? new Error("no error");
}

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}

/** The save with another description behind its end. */
function withVmdesc(save: Uint8Array, change: (vmdesc: Vmdesc) => Vmdesc): Uint8Array {
  const found = findVmdesc(save);
  if (found === undefined) throw new Error("no vmdesc");
  const text = new TextEncoder().encode(vmdescText(change(found.vmdesc)));
  const bytes = new Uint8Array(found.at + 5 + text.length);
  bytes.set(save.subarray(0, found.at + 1));
  new DataView(bytes.buffer).setUint32(found.at + 1, text.length);
  bytes.set(text, found.at + 5);
  return bytes;
}

function haveQemu(): boolean {
  const { status } = spawnSync(qemuBinary, ["--version"]);
  return status === 0 || absent("qemu", `no ${qemuBinary} on the path`, "the tests that load streams in QEMU");
}

/** How QEMU's own load of this stream ended. */
async function loadInQemu(stream: Uint8Array): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "godwit-qemu-"));
  const file = join(folder, "stream");
  writeFileSync(file, stream);
  const machineOf = [
    "-M",
    "pc-q35-7.2,accel=tcg",
    "-cpu",
    "qemu64",
    "-m",
    "16",
    "-nodefaults",
    "-display",
    "none",
    "-S",
  ];
  const qemu = spawn(qemuBinary, [...machineOf, "-qmp", "stdio", "-incoming", `exec:cat ${file}`]);
  const ask = (execute: string) => qemu.stdin.write(`${JSON.stringify({ execute })}\n`);
  qemu.stdin.on("error", () => {});
  try {
    return await new Promise((done) => {
      let text = "";
      qemu.on("exit", (code) => done(`exit ${code}`));
      qemu.stdout.on("data", (chunk) => {
        text += String(chunk);
        for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
          const line = JSON.parse(text.slice(0, end)) as { QMP?: object; return?: { status?: string } };
          text = text.slice(end + 1);
          if (line.QMP !== undefined) ask("qmp_capabilities");
          const status = line.return?.status;
          if (status === "completed" || status === "failed") done(status);
          else if (line.return !== undefined) setTimeout(() => ask("query-migrate"), 50);
        }
      });
    });
  } finally {
    qemu.kill();
    rmSync(folder, { recursive: true });
  }
}
