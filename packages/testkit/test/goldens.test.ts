// Golden files from the first one on: written when asked for, never again, and read by every later version.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type PluginFinding, pluginChecks } from "../src/index.ts";
import { folded, foldedHex, unfolded, unfoldedHex } from "../src/plugin/folded.ts";
import { Modes } from "./planted/devices.ts";
import { type Variation, variedTest } from "./planted/plugin.ts";
import { withVersion } from "./planted/sections.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-goldens-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function findings(variation: Variation, write = false): Promise<readonly string[]> {
  const check = pluginChecks(variedTest(variation, { goldens: folder })).find(({ name }) => name === "goldens");
  const before = process.env["GODWIT_GOLDENS"];
  if (write) process.env["GODWIT_GOLDENS"] = "write";
  else delete process.env["GODWIT_GOLDENS"];
  try {
    const { findings } = (await check?.find()) ?? { findings: [] as readonly PluginFinding[] };
    return findings.map(({ code }) => code);
  } finally {
    if (before === undefined) delete process.env["GODWIT_GOLDENS"];
    else process.env["GODWIT_GOLDENS"] = before;
  }
}

const next: Variation = { device: Modes, section: withVersion, version: "0.3.0" };

it("is written when asked for, with the states that its bytes mean", async () => {
  expect(await findings({})).toEqual(["GOLDEN_MISSING"]);
  expect(readdirSync(folder)).toEqual([]);
  expect(await findings({}, true)).toEqual([]);
  expect(readdirSync(folder)).toEqual(["0.2.0.json"]);
  const { plugin, version, contract, dump, sections } = JSON.parse(readFileSync(join(folder, "0.2.0.json"), "utf8"));
  expect({ plugin, version, contract }).toEqual({ plugin: "sample-tod", version: "0.2.0", contract: 1 });
  expect(Object.keys(dump)).toEqual(["vmschkmachine", "tod-control", "tod"]);
  expect(sections["tod-control/0"].version).toBe(1);
  for (const { state, bytes } of sections["tod-control/0"].samples) {
    expect(bytes).toBe([state.depth, state.flags].map((byte: number) => byte.toString(16).padStart(2, "0")).join(""));
  }
  expect(sections["tod/0"].samples.length).toBeGreaterThan(3);
  expect(await findings({})).toEqual([]);
});

it("is never written over, and a patch needs none", async () => {
  await findings({}, true);
  const before = readFileSync(join(folder, "0.2.0.json"), "utf8");
  expect(await findings({ ...next, version: "0.2.0" }, true)).toEqual(["WIRE_CHANGED"]);
  expect(await findings({ ...next, version: "0.2.7" }, true)).toEqual(["WIRE_CHANGED"]);
  expect(await findings({ version: "0.2.7" }, true)).toEqual([]);
  expect(await findings({ version: "1.0.0" }, true)).toEqual([]);
  expect(readdirSync(folder)).toEqual(["0.2.0.json"]);
  expect(readFileSync(join(folder, "0.2.0.json"), "utf8")).toBe(before);
});

it("gets a second one where a minor version changes the wire rightly, and then reads both", async () => {
  await findings({}, true);
  expect(await findings(next)).toEqual(["GOLDEN_MISSING"]);
  expect(await findings(next, true)).toEqual([]);
  expect(readdirSync(folder)).toEqual(["0.2.0.json", "0.3.0.json"]);
  expect(await findings(next)).toEqual([]);
  // The plugin of the day before finds a file of the day after.
  expect(await findings({})).toEqual(["GOLDEN_INVALID"]);
});

it("tells a sample whose bytes mean another state", async () => {
  await findings({}, true);
  const path = join(folder, "0.2.0.json");
  const golden = JSON.parse(readFileSync(path, "utf8"));
  const [sample] = golden.sections["tod-control/0"].samples;
  sample.state.flags ^= 1;
  writeFileSync(path, JSON.stringify(golden));
  expect(await findings({})).toEqual(["GOLDEN_UNREADABLE", "WIRE_CHANGED"]);
});

it("folds what repeats itself, and reads it back", () => {
  const queue = { desc: "0x0", num: 0 };
  const vqs = [{ desc: "0x1000", num: 8 }, ...new Array(1023).fill(queue)];
  const state = { vqs, sizes: [8, 4, 4, 4, 1], nested: [[1, 1, 1, 1], [1, 1, 1, 1], 2], none: [] };
  expect(folded(state)).toEqual({
    vqs: [vqs[0], { $times: 1023, value: queue }],
    sizes: [8, 4, 4, 4, 1],
    nested: [[{ $times: 4, value: 1 }], [{ $times: 4, value: 1 }], 2],
    none: [],
  });
  expect(unfolded(folded(state))).toEqual(state);
  const hex = `01${"00".repeat(16)}02${"ff".repeat(15)}${"fe".repeat(300)}`;
  expect(foldedHex(hex)).toBe(`01(00*16)02${"ff".repeat(15)}(fe*300)`);
  expect(unfoldedHex(foldedHex(hex))).toBe(hex);
  expect(foldedHex("")).toBe("");
  for (const times of [0, -1, 1.5, 2 ** 40]) expect(() => unfolded([{ $times: times, value: 0 }])).toThrow("no count");
  expect(() => unfoldedHex("(00*99999999)")).toThrow("99999999 equal bytes");
});
