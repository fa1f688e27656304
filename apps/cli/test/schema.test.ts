// `godwit schema`: our descriptions beside QEMU's own dumps, schemas that hold for the states of real sections, and pages.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeState, isMigrationError } from "@godwit/core";
import {
  type Dump,
  type DumpDescription,
  type JsonSchema,
  type JsonValue,
  jsonSchemaOf,
  stateToJson,
} from "@godwit/core/tools";
import { faultsOf } from "@godwit/test-support/json-schema";
import { haveStreams, readStream, streamFile, streamsFolder } from "@godwit/test-support/streams";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silent, type Terminal } from "../src/io/terminal.ts";
import { readOptions, visitStream } from "../src/model/open-stream.ts";
import type { Section } from "../src/model/read-stream.ts";
import { dumpText } from "../src/schema/forms.ts";
import { runCli } from "./run-cli.ts";

const terminal: Terminal = {
  out() {},
  note() {},
  json() {},
  async write() {},
  style: (_, text) => text,
  progress: () => silent,
  stdin: (async function* () {})(),
  stdinIsTerminal: true,
  stdoutIsTerminal: false,
  folder: ".",
  environment: {},
};

function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

/** By its path: what a package's name leads to is another thing under each runtime's test runner. */
const plugin = (path: string): string => fileURLToPath(new URL(`../../../plugins/${path}`, import.meta.url));
const virtioNetPci = plugin("virtio-net/src/pci.ts");
const stream = (name: string): string => streamFile(`${name}.stream`);
const qemuDump = (name: string): Dump => JSON.parse(readFileSync(join(streamsFolder(), "dump-vmstate", name), "utf8"));

/** A description of a dump without what QEMU's form lacks. */
function plain({ godwit: _, Fields, Subsections, ...rest }: DumpDescription): DumpDescription {
  return {
    ...rest,
    ...(Fields && {
      Fields: Fields.map(({ godwit: _own, Description, ...field }) => ({
        ...field,
        ...(Description && { Description: plain(Description) }),
      })),
    }),
    ...(Subsections && { Subsections: Subsections.map(plain) }),
  };
}

/** QEMU's description of that name; the size of a struct is one in memory there. */
function qemuDescription(dump: Dump, name: string): DumpDescription {
  for (const section of Object.values(dump)) {
    if ("Description" in section && section.Description.name === name) return section.Description;
  }
  return expect.unreachable(name);
}

function ours(dump: Dump, name: string): DumpDescription {
  const section = dump[name];
  return section !== undefined && "Description" in section ? plain(section.Description) : expect.unreachable(name);
}

function withoutStructSizes({ Fields, ...rest }: DumpDescription): unknown {
  return {
    ...rest,
    Fields: Fields?.map(({ size, Description, ...field }) =>
      Description ? { ...field, Description: withoutStructSizes(Description) } : { ...field, size },
    ),
  };
}

async function json(...args: string[]): Promise<JsonSchema> {
  const { code, stdout, stderr } = await runCli(["schema", ...args]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

describe.skipIf(!haveStreams())("schema of real sections", () => {
  it("VT-d's is what QEMU 10.0 prints of its own, to the last key", async () => {
    const dump = (await json(plugin("iommu-vtd/src/index.ts"))) as unknown as Dump;
    expect(dump["vmschkmachine"]).toEqual({ Name: "none" });
    const theirs = qemuDescription(qemuDump("pc-q35-10.0.qemu-10.0.json"), "iommu-intel");
    expect(JSON.stringify(ours(dump, "iommu-intel"))).toBe(JSON.stringify(theirs));
  });

  it("so are those of pseries, but for what QEMU sizes as structs in memory", async () => {
    const dump = (await json(stream("pseries-bare-7.2"))) as unknown as Dump;
    expect(dump["vmschkmachine"]).toEqual({ Name: "pseries-7.2" });
    const theirs = qemuDump("pseries-7.2.qemu-7.2.json");
    for (const name of ["xive-tctx", "spapr/rtc", "spapr_vty"]) {
      expect(withoutStructSizes(ours(dump, name))).toEqual(withoutStructSizes(qemuDescription(theirs, name)));
    }
  });

  it.each([
    [["--section", "fw-cfg", "--section", "nope"], /nothing in .* is called fw-cfg or nope \(SCHEMA_EMPTY\)/],
    [
      ["--like", "other.stream"],
      /is a stream: its own parameters are taken.* \(SCHEMA_ARGUMENTS\)\n.*--like is for modules/,
    ],
  ])("%j is wrong use", async (options, says) => {
    const { code, stdout, stderr } = await runCli(["schema", stream("q35-bare-7.2"), ...options]);
    expect(stderr).toMatch(says);
    expect([code, stdout]).toEqual([2, ""]);
  });

  it("a section that its vmdesc does not fit is left out by name, and the others are not", async () => {
    const folder = mkdtempSync(join(tmpdir(), "godwit-schema-"));
    const bytes = readStream("q35-bare-7.2.stream");
    const said = Buffer.from('"fw_cfg/dma", "version": ');
    const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).lastIndexOf(said) + said.length;
    const altered = bytes.slice();
    altered[at] = 0x37;
    writeFileSync(join(folder, "altered.stream"), altered);
    const { code, stdout, stderr } = await runCli(["schema", "altered.stream"], { folder });
    rmSync(folder, { recursive: true });
    expect(code).toBe(0);
    expect(stderr).toMatch(/^godwit: fw_cfg\/0 is left out: .*a subsection that is not there.*"fw_cfg\/dma" v7/m);
    const whole = (await json(stream("q35-bare-7.2"))) as unknown as Dump;
    expect(Object.keys(JSON.parse(stdout))).toEqual(Object.keys(whole).filter((key) => key !== "fw_cfg"));
  });

  it("a section that nothing describes is told as its vmdesc lists it, and that this is so", async () => {
    const dump = (await json(stream("q35-bare-7.2"), "--section", "i8254", "--machine", "mine")) as unknown as Dump;
    expect(Object.keys(dump)).toEqual(["vmschkmachine", "i8254"]);
    expect(dump["vmschkmachine"]).toEqual({ Name: "mine" });
    const section = dump["i8254"];
    if (section === undefined || !("Description" in section)) return expect.unreachable();
    const theirs = qemuDescription(qemuDump("pc-q35-7.2.qemu-7.2.json"), "i8254");
    const names = (one: DumpDescription) => one.Fields?.map(({ field }) => field);
    expect(names(section.Description)).toEqual(names(theirs)?.filter((name) => name !== "channels[0].irq_timer"));
    expect(section.Description.godwit).toEqual({ by: "vmdesc" });
    expect(section.Description.Fields?.[1]).toMatchObject({ field: "channels", num: 3, godwit: { by: "vmdesc" } });
  });

  it.each([
    ["i440fx-transitional-virtio-7.2", 5],
    ["s390-ccw-virtio-7.2", 4],
    ["pseries-hotplug-net-7.2", 16],
  ])("%s: the state of every described section is valid", async (name, atLeast) => {
    let valid = 0;
    const section = ({ key, head, body, described }: Section): void => {
      if (body === undefined || described === undefined || isMigrationError(described)) return;
      const { description } = described;
      const state = stateToJson(description, decodeState(description, body, { version: head.version, checks: false }));
      const json = JSON.parse(JSON.stringify(state)) as JsonValue;
      expect([key, ...faultsOf(jsonSchemaOf(description), json)]).toEqual([key]);
      valid++;
    };
    await visitStream(stream(name), await readOptions({ hold: "64M" }, terminal), { section }, terminal);
    expect(valid).toBeGreaterThanOrEqual(atLeast);
  });

  it("schemas of a stream's sections stand under their names, and what has none is told", async () => {
    const { stdout, stderr } = await runCli(["schema", stream("pseries-bare-7.2"), "--as", "json-schema"]);
    expect(stderr).toContain("only the stream's vmdesc tells of it");
    const each = JSON.parse(stdout) as Readonly<Record<string, JsonSchema>>;
    expect(each["spapr/0"]).toMatchObject({ title: "spapr v3", $defs: { timebase: { title: "timebase v1" } } });
    expect(each["spapr/rtc/0"]).toMatchObject({ title: "spapr/rtc v1" });
  });

  it("a family's parameters are taken from the stream that --like names, and never made up", async () => {
    const without = await runCli(["schema", virtioNetPci, "--json"]);
    expect(without.code).toBe(2);
    expect(JSON.parse(without.stdout).error).toMatchObject({
      code: "SCHEMA_EMPTY",
      hint: expect.stringContaining("--like"),
    });
    const like = ["--like", stream("i440fx-transitional-virtio-7.2")];
    const dump = (await json(virtioNetPci, ...like)) as unknown as Dump;
    expect(Object.keys(dump)).toEqual(["vmschkmachine", "virtio-net"]);
    expect(JSON.stringify(dump)).toContain('"field":"mac"');
    const none = await runCli(["schema", virtioNetPci, "--like", stream("q35-bare-7.2")]);
    expect(none.code).toBe(2);
    expect(none.stderr).toContain("has no such section");
  });

  it("a page of what a vmdesc lists: every leaf with its place", async () => {
    const { code, stdout } = await runCli([
      "schema",
      stream("q35-bare-7.2"),
      "--section",
      "port92",
      "--as",
      "markdown",
    ]);
    expect(code).toBe(0);
    expect(stdout).toBe(`# \`port92/0\`

Version 1 of \`port92\`, as it stands in this stream: its vmdesc says so.

| offset | field | type | bytes |
| --: | --- | --- | --: |
| 0 | \`outport\` | \`uint8\` | 1 |
`);
  });

  it("reads standard input", async () => {
    const bytes = new Uint8Array(readFileSync(stream("q35-bare-7.2")));
    const { code, stdout } = await runCli(["schema", "-", "--section", "port92"], { stdin: pieces(bytes, 4096) });
    expect(code).toBe(0);
    expect(Object.keys(JSON.parse(stdout))).toEqual(["vmschkmachine", "port92"]);
  });
});

describe("schema of a module", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-schema-"));
  beforeAll(() => {
    // Descriptions are plain data: a module of another copy of core, or of none, brings them as well.
    const uart = `{ format: 1, name: "uart", version: 2, minimumVersion: 1, priority: "default", earlySetup: false,
      fields: { lcr: { kind: "int", info: "uint8", bytes: 1, signed: false, as: "number" } }, subsections: {} }`;
    const family = `{ format: 1, name: "queues", build: () => (${uart}), infer: () => ({ queues: 0 }) }`;
    writeFileSync(join(folder, "machine.mjs"), `export const uart = ${uart};\nexport const queues = ${family};\n`);
    writeFileSync(join(folder, "nothing.mjs"), "export const x = 1;\n");
    writeFileSync(join(folder, "zeros.bin"), new Uint8Array(64));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("by a path: what it describes, and a sentence for what needs parameters", async () => {
    const { code, stdout, stderr } = await runCli(["schema", "./machine.mjs", "--as", "markdown"], { folder });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^# `uart`\n\nVersion 2; read from 1 on; 1 byte\./);
    expect(stderr).toBe("godwit: queues is left out: its parameters stand in a stream, which --like names\n");
    const one = await runCli(["schema", "./machine.mjs", "--as", "markdown", "--json", "--section", "uart"], {
      folder,
    });
    expect([one.stderr, JSON.parse(one.stdout).markdown]).toEqual(["", stdout]);
  });

  it("one description's JSON Schema is the document itself", async () => {
    const { stdout } = await runCli(["schema", "machine.mjs", "--as", "json-schema", "--section", "u*"], { folder });
    const schema = JSON.parse(stdout) as JsonSchema;
    expect(schema["title"]).toBe("uart v2");
    expect(faultsOf(schema, { lcr: 255 })).toEqual([]);
    expect(faultsOf(schema, { lcr: 256 })).toEqual([".lcr maximum"]);
  });

  it.each([
    [["machine.mjs", "--section", "nobody"], 2, "SCHEMA_EMPTY"],
    [["machine.mjs", "--as", "xml"], 2, "FORM_UNKNOWN"],
    [["nothing.mjs"], 2, "PLUGIN_EMPTY"],
    [["missing.mjs"], 2, "SUBJECT_UNKNOWN"],
    [["@nobody/has-this"], 2, "SUBJECT_UNKNOWN"],
    [["zeros.bin"], 1, "INPUT_KIND"],
    [[], 2, "USAGE"],
  ])("%j exits %i with %s", async (args, exit, code) => {
    const run = await runCli(["schema", ...args, "--json"], { folder });
    expect(run.code).toBe(exit);
    expect(JSON.parse(run.stdout).error.code).toBe(code);
  });
});

it("a section of a name that every object answers to keeps it, and one that says the same stands once", () => {
  const device = (name: string, instance: number, size: number) => ({
    key: `${name}/${instance}`,
    device: {
      ...{ name, instance_id: instance, vmsd_name: "d", version: 1 },
      fields: [{ name: "x", type: "buffer", size }],
    },
    leaves: [],
  });
  const listed = [device("constructor", 0, 1), device("constructor", 1, 1), device("constructor", 2, 2)];
  const dump = dumpText({ machine: undefined, described: [], listed, leftOut: [] }, "m");
  expect(Object.keys(dump)).toEqual(["vmschkmachine", "constructor", "constructor/2"]);
});
