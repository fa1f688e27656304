// The verb itself: what it prints, its JSON, its exit codes, and what it says to files that are no dumps.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { checkCodes } from "@godwit/core/compatibility";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VerbContext } from "../src/verb.ts";
import { check as checkVerb } from "../src/verbs/check.ts";
import { description, dump, field, type JsonDescription } from "./check-support.ts";
import { runCli } from "./run-cli.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-check-verb-"));
  const write = (name: string, json: unknown) => writeFileSync(join(folder, name), JSON.stringify(json));
  const uart = (...more: ReturnType<typeof field>[]) => description("uart", [field("lcr", 1), ...more]);
  write("old.json", dump({ "isa-serial": uart(), "pci-serial": uart() }));
  write("new.json", dump({ "isa-serial": uart(field("baud", 4)), "pci-serial": uart(field("baud", 4)) }));
  writeFileSync(join(folder, "old.json.gz"), gzipSync(JSON.stringify(dump({ "isa-serial": uart() }))));
  writeFileSync(join(folder, "truncated.json"), '{"vmschkmachine": {"Na');
  writeFileSync(join(folder, "vm.stream"), Buffer.from("QEVM\0\0\0\x03\x07", "latin1"));
  writeFileSync(join(folder, "disk.qcow2"), Buffer.from("QFI\xfb\0\0\0\x03", "latin1"));
  writeFileSync(join(folder, "empty.json"), "");
  write("array.json", []);
  write("other.json", { devices: [] });
  write("wrong.json", dump({ x: { ...uart(), version_id: "1" } as unknown as JsonDescription }));
  let deep = description("d", [field("x", 1)]);
  for (let i = 0; i < 70; i++) deep = description("d", [field("s", 1, { Description: deep })]);
  write("deep.json", dump(deep));
});
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => runCli(["check", ...args], { folder });

const device = (name: string) => ({
  ...{ name, instance_id: 0, vmsd_name: name, version: 1 },
  fields: [{ name: "x", type: "uint8", size: 1 }],
});

describe("godwit check", () => {
  it("tells a change once for both ways, with the devices that have it", async () => {
    const { code, stdout, stderr } = await run("old.json", "new.json");
    expect(stdout.split("\n").slice(0, 7)).toEqual([
      "m: old.json -> new.json",
      "no certain break found; 2 may break, 0 unknown, 0 harmless",
      "",
      "may break",
      "  both ways  FIELD_ADDED (new -> old: FIELD_REMOVED): the reader reads a field that the writer does not write",
      "    uart#baud (isa-serial, pci-serial)",
      "  (each only if the machine has the device; --only-of STREAM looks at the devices of one machine)",
    ]);
    expect([code, stderr]).toEqual([0, ""]);
  });

  it("tells apart what matters under other conditions", async () => {
    const fields = { field_exists: true, Description: description("s", [field("x", 1), field("y", 1)]) };
    const inside = (...more: ReturnType<typeof field>[]) => description("uart", [field("s", 2, fields), ...more]);
    const shorter = { ...fields, Description: description("s", [field("x", 1)]) };
    const one = { a: inside(field("z", 4)), b: description("b", [field("x", 1)], { Subsections: [inside()] }) };
    const other = { a: description("uart", [field("s", 1, shorter)]), b: description("b", [field("x", 1)]) };
    writeFileSync(join(folder, "apart-1.json"), JSON.stringify(dump(one)));
    writeFileSync(join(folder, "apart-2.json"), JSON.stringify(dump(other)));
    const { stdout } = await run("apart-1.json", "apart-2.json");
    const removed =
      "both ways  FIELD_REMOVED (new -> old: FIELD_ADDED): the writer writes a field that the reader does not";
    expect(stdout.split("\n").filter((line) => /^ {2}(both ways|old -> new) |^ {4}/.test(line))).toEqual([
      `  ${removed} read, if a`,
      "    field's test says yes",
      "    s#y (a)",
      `  ${removed} read`,
      "    uart#z (a)",
      "  old -> new  SUBSECTION_REMOVED: a subsection that the reader does not know; it is refused when it is sent, if the",
      "    subsection is needed",
      "    b#uart",
    ]);
  });

  it("keeps to 120 columns", async () => {
    const names = Array.from({ length: 30 }, (_, i) => [`a-device-of-a-long-name-${i}`, i] as const);
    const of = (bytes: number) =>
      dump(Object.fromEntries(names.map(([name, i]) => [name, description(`uart-${i}`, [field("x", bytes)])])));
    writeFileSync(join(folder, "many-1.json"), JSON.stringify(of(1)));
    writeFileSync(join(folder, "many-2.json"), JSON.stringify(of(2)));
    for (const all of [[], ["--all"]]) {
      const { stdout } = await run("many-1.json", "many-2.json", ...all);
      expect(stdout).toContain("a-device-of-a-long-name-4");
      expect(stdout.split("\n").filter((line) => line.length > 120)).toEqual([]);
    }
  });

  it("--all tells what was in each, where, and what helps", async () => {
    const { stdout } = await run("old.json", "new.json", "--all", "--devices", "isa-*");
    expect(stdout.split("\n").slice(1, 9)).toEqual([
      "2 break; 0 may break, 0 unknown, 0 harmless",
      "",
      "breaks  old -> new  FIELD_ADDED  uart#baud",
      "  the reader reads a field that the writer does not write",
      "  old: nothing",
      "  new: baud: 4 B",
      "  in: isa-serial",
      "  remedy: put it into a subsection, or read it since a new version",
    ]);
  });

  it("exits 1 for a break, and for what may break with --strict", async () => {
    expect((await run("old.json", "new.json", "--devices", "isa-serial")).code).toBe(1);
    expect((await run("old.json", "new.json", "--strict")).code).toBe(1);
    expect((await run("old.json", "old.json", "--strict")).code).toBe(0);
  });

  it("--json: one document, as its doc comment says", async () => {
    const { stdout, stderr } = await run("old.json", "new.json", "--json");
    const { machines, findings, notCompared } = JSON.parse(stdout);
    expect(machines).toEqual({ old: "m", new: "m" });
    expect(findings).toHaveLength(2);
    expect(findings[0]).toEqual({
      ...{ severity: "may break", code: "FIELD_ADDED", direction: "forward", description: "uart", subject: "baud" },
      ...{ old: "", new: "baud: 4 B", conditions: ["device"] },
      places: ["isa-serial", "pci-serial"].map((section) => ({ section, path: "" })),
      says: "the reader reads a field that the writer does not write",
      remedy: "put it into a subsection, or read it since a new version",
    });
    expect(notCompared.length).toBeGreaterThan(0);
    expect(stderr).toBe("");
  });

  it("--codes prints docs/check.md, with every code", async () => {
    const { code, stdout } = await run("--codes");
    expect(code).toBe(0);
    expect(stdout === readFileSync(new URL("../../../docs/check.md", import.meta.url), "utf8")).toBe(true);
    for (const one of Object.keys(checkCodes)) expect(stdout).toContain(`| \`${one}\``);
  });

  it("reads a compressed dump", async () => {
    const { code, stdout } = await run("old.json.gz", "old.json.gz");
    expect(code).toBe(0);
    expect(stdout).toContain("no certain break found; 0 may break, 0 unknown, 0 harmless");
  });

  it.each([
    ["truncated.json", "truncated.json is no JSON (DUMP_INVALID)"],
    ["array.json", "array.json has no object at the top (DUMP_INVALID)"],
    ["other.json", "other.json is no dump: it has no vmschkmachine (DUMP_INVALID)"],
    ["wrong.json", 'wrong.json has no number "version_id" at x.Description (DUMP_INVALID)'],
    ["deep.json", "deep.json nests too deep at dev.Description"],
    ["vm.stream", "vm.stream is a migration stream, and no dump (DUMP_INVALID)"],
    ["disk.qcow2", "disk.qcow2 is a qcow2 disk image, and no dump (DUMP_INVALID)"],
    ["empty.json", "empty.json is empty (DUMP_INVALID)"],
  ])("%s: one clear sentence, exit 1", async (file, sentence) => {
    const { code, stderr, stdout } = await run("old.json", file);
    expect(stderr).toContain(`godwit: ${sentence}`);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect([code, stdout]).toEqual([1, ""]);
  });

  it.each([
    [
      ["old.json", "new.json", "--devices", "isa-*", "--devices", "ids-*"],
      'nothing matches "ids-*" (CHECK_NOTHING_CHOSEN)',
    ],
    [["old.json", "new.json", "--only-of", "vmdesc.json"], "neither dump holds a section of that machine"],
    [["old.json", "new.json", "--write"], "--write is for --plugins (CHECK_ARGUMENTS)"],
    [["old.json", "new.json", "--plugins", "."], "--plugins compares no dumps (CHECK_ARGUMENTS)"],
    [["--plugins", ".", "--devices", "isa-*"], "--plugins compares no dumps (CHECK_ARGUMENTS)"],
    [["old.json", "new.json", "--codes"], "--codes compares no dumps (CHECK_ARGUMENTS)"],
    [["-", "-"], "only one of the files can be standard input (CHECK_ARGUMENTS)"],
    [["-", "new.json", "--vmdesc", "-"], "only one of the files can be standard input (CHECK_ARGUMENTS)"],
  ])("%j is wrong use: nothing would be looked at, or not what was asked", async (args, sentence) => {
    const vmdesc = { page_size: 4096, devices: [device("spapr")] };
    writeFileSync(join(folder, "vmdesc.json"), JSON.stringify(vmdesc));
    const { code, stdout, stderr } = await run(...args);
    expect(stderr).toContain(`godwit: ${sentence}`);
    expect([code, stdout]).toEqual([2, ""]);
  });

  it("--only-of names the machine's sections that no dump holds", async () => {
    writeFileSync(
      join(folder, "serial.json"),
      JSON.stringify({ page_size: 4096, devices: [device("uart"), device("cpu"), device("timer")] }),
    );
    const { stdout } = await run("old.json", "new.json", "--only-of", "serial.json");
    expect(stdout).toContain("\n  that machine's sections that neither dump holds: cpu, timer\n");
  });

  it("prints --codes line by line, as a terminal takes them", async () => {
    const lines: string[] = [];
    const terminal = { out: (line = "") => void lines.push(line) } as unknown as VerbContext["terminal"];
    const context: VerbContext = {
      args: [],
      options: { codes: true },
      terminal,
      everyVerb: () => expect.unreachable(),
    };
    expect(await checkVerb.run(context)).toBe(0);
    expect(lines.length).toBeGreaterThan(50);
    expect(lines.filter((line) => line.includes("\n"))).toEqual([]);
  });

  it("--codes --json: the table as one document", async () => {
    const { code, stdout } = await run("--codes", "--json");
    const { codes } = JSON.parse(stdout) as { codes: readonly { readonly code: string }[] };
    expect([code, codes.map((one) => one.code)]).toEqual([0, Object.keys(checkCodes)]);
    expect(codes[0]).toEqual({ code: "MACHINE_NAME", ...checkCodes.MACHINE_NAME });
  });

  it("one dump, or a file that is not there, is wrong use", async () => {
    const one = await run("old.json");
    expect([one.code, one.stderr.split("\n")[0]]).toEqual([
      2,
      "godwit: two dumps are to be given, the old one first (CHECK_ARGUMENTS)",
    ]);
    expect((await run("old.json", "none.json")).code).toBe(2);
    const json = JSON.parse((await run("old.json", "--json")).stdout);
    expect(json.error.code).toBe("CHECK_ARGUMENTS");
  });
});
