// The verb itself: what it prints, its JSON, its exit codes, and what it says to files that are no dumps.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { align } from "../src/check/align.ts";
import { checkCodes } from "../src/check/codes.ts";
import { sideOf } from "../src/check/dump.ts";
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
  write("array.json", []);
  write("other.json", { devices: [] });
  write("wrong.json", dump({ x: { ...uart(), version_id: "1" } as unknown as JsonDescription }));
  let deep = description("d", [field("x", 1)]);
  for (let i = 0; i < 70; i++) deep = description("d", [field("s", 1, { Description: deep })]);
  write("deep.json", dump(deep));
});
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => runCli(["check", ...args], { folder });

describe("godwit check", () => {
  it("tells a change once for both ways, with the devices that have it", async () => {
    const { code, stdout, stderr } = await run("old.json", "new.json");
    expect(stdout.split("\n").slice(0, 6)).toEqual([
      "m: old.json -> new.json",
      "no certain break found; 2 may break, 0 unknown, 0 harmless",
      "",
      "may break",
      "  both ways   FIELD_ADDED: uart#baud (isa-serial, pci-serial), if the machine has the device",
      "  (a class in a dump is a device that could be there: --only-of STREAM looks at those of a machine)",
    ]);
    expect([code, stderr]).toEqual([0, ""]);
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
  ])("%s: one clear sentence, exit 1", async (file, sentence) => {
    const { code, stderr, stdout } = await run("old.json", file);
    expect(stderr).toContain(`godwit: ${sentence}`);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect([code, stdout]).toEqual([1, ""]);
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

it("descriptions of thousands of fields that have nothing in common are refused, not compared for hours", () => {
  const many = (prefix: string) => Array.from({ length: 3000 }, (_, i) => field(`${prefix}${i}`, 1 + (i % 7)));
  const fields = (prefix: string) =>
    sideOf(dump(description("d", many(prefix))), "x").classes[0]?.description.fields ?? [];
  expect(() => align(fields("a"), fields("b"), "d")).toThrow(
    expect.objectContaining({
      code: "CHECK_TOO_LARGE",
      message: '"d" has too many fields that differ: 3000 of one and 3000 of the other',
    }),
  );
});
