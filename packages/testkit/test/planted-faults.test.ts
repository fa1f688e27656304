// Faults that are planted in the sample plugin: each is found with its code, by its check, at its field; and nothing else.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { clockCodes } from "../src/clocks.ts";
import { type PluginClocks, type PluginFinding, type PluginTest, pluginCodes, pluginFindings } from "../src/index.ts";
import * as devices from "./planted/devices.ts";
import { type Faults, memoryIterable } from "./planted/iterable.ts";
import { type Variation, variedPlugin, variedTest } from "./planted/plugin.ts";
import * as sections from "./planted/sections.ts";
import type { TodOffer } from "./sample-plugin/src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "godwit-goldens-"));
afterAll(() => rmSync(folder, { recursive: true }));

const found = ({ check, code, section, path }: PluginFinding): string =>
  [check, code, section, path].filter((part) => part !== undefined).join(" ");

interface Planted {
  readonly fault: string;
  readonly with?: Variation;
  readonly test?: Partial<PluginTest<TodOffer>>;
  readonly finds: readonly string[];
}

const flag: Variation = {
  more(kernel) {
    let flag = false;
    kernel.device(sections.flagSection, {
      save: () => ({ flag }),
      load: (state) => {
        flag = state.flag;
      },
    });
  },
};
/** The guest's memory is as deep as the queue. */
const memory = (faults: Faults): Variation => ({
  more: (kernel, { control }) => void kernel.iterable(memoryIterable(control, faults)),
});
const mode = { device: devices.Modes };
const noGoldens = { goldens: join(folder, "none") };
const unwritable = (base: import("fast-check").Arbitrary<{ event_count: number }>) =>
  base.map((state) => ({ ...state, event_count: 99 }));

const invalid = join(folder, "invalid");
mkdirSync(invalid);
writeFileSync(join(invalid, "0.2.0.json"), "{}\n");

const throwing = (): never => {
  throw new Error("no bench");
};
/** Takes the plugin in as if it were a companion. */
const companions: PluginTest<TodOffer>["setup"] = ({ kernel, timers, host }) =>
  kernel.use(variedPlugin({ timers, hostNow: host.now }, {}));

const clocks: PluginClocks<TodOffer> = {
  untilNs: 1000n,
  start: ({ tod }) => tod.setAlarm(150n, 100n),
  fired: ({ tod }) => ({ tod: tod.alarms }),
};

const planted: readonly Planted[] = [
  { fault: "none", finds: [] },
  { fault: "none, with a handler of memory", with: memory({}), finds: [] },

  {
    fault: "stores monotonic host time",
    with: { device: devices.HostTime },
    finds: ["hosts HOST_TIME_STORED tod/0 offset"],
  },
  { fault: "stores Date.now()", with: { device: devices.DateStored }, finds: ["hosts HOST_TIME_STORED tod/0 offset"] },
  {
    fault: "reads the date in load",
    with: { device: devices.DateInLoad },
    finds: ["hosts HOST_TIME_STORED tod/0 period"],
  },
  { fault: "stores chance", with: { device: devices.RandomStored }, finds: ["hosts CHANCE_STORED tod/0 offset"] },
  { fault: "Math.random in save", with: { device: devices.RandomInSave }, finds: ["hosts CHANCE_STORED tod/0 offset"] },

  { fault: "load forgets a field", with: { device: devices.ForgetsField }, finds: ["saves STATE_LOST tod/0 period"] },
  {
    fault: "saves what was loaded, not what is",
    with: { device: devices.Cached },
    test: {
      goOn({ tod }) {
        tod.now = 5n;
      },
    },
    finds: ["saves STATE_HIDDEN tod/0 offset"],
  },
  {
    fault: "keeps a state that no field has",
    with: { device: devices.Hidden },
    test: { goOn: ({ tod }) => void tod.setAlarm(3n, 9n) },
    finds: ["saves STATE_HIDDEN tod/0 period"],
  },
  { fault: "none, and the guest goes on", test: { goOn: ({ tod }) => tod.setAlarm(3n, 9n) }, finds: [] },
  { fault: "load arms later", with: { device: devices.RelativeAlarm }, finds: ["saves STATE_LOST tod/0 alarm"] },
  { fault: "load truncates", with: { device: devices.Truncates }, finds: ["states STATE_LOST tod/0 period"] },
  { fault: "load refuses", with: { device: devices.ThrowsInLoad }, finds: ["states LOAD_FAILED tod/0"] },
  { fault: "load always throws", with: { device: devices.Torn }, finds: ["saves MACHINE_TORN tod/0"] },
  { fault: "save throws", with: { device: devices.SaveThrows }, finds: ["saves SAVE_FAILED tod/0"] },
  { fault: "save counts", with: { device: devices.SaveCounts }, finds: ["saves SAVE_CHANGES_DEVICE tod/0 offset"] },
  { fault: "needed too late", with: { section: sections.neededTooLate }, finds: ["saves SUBSECTION_LOST tod/0 lost"] },

  {
    fault: "check touches the device",
    with: { device: devices.CheckTouches },
    finds: ["saves CHECK_CHANGES_DEVICE tod/0 offset"],
  },
  {
    fault: "check keeps a live alias",
    with: { device: devices.KeepsState },
    finds: ["saves CHECK_CHANGES_DEVICE tod/0 lost.count"],
  },
  {
    fault: "check writes to the state",
    with: { device: devices.CheckWrites },
    finds: ["saves CHECK_CHANGES_STATE tod/0"],
  },
  { fault: "check throws a TypeError", with: { device: devices.CheckThrows }, finds: ["states CHECK_FAILED tod/0"] },
  {
    fault: "check refuses what it saves",
    with: { device: devices.RefusesOwn },
    finds: ["saves LOAD_REFUSED tod/0 event_count"],
  },

  { fault: "no `after`", with: { device: devices.NoAfter }, finds: ["order ORDER_DEPENDENT tod/0"] },
  {
    fault: "claims version 1, and refuses it",
    with: { device: devices.RefusesOld },
    finds: ["versions VERSION_UNREADABLE tod/0", "goldens GOLDEN_UNREADABLE tod/0 period"],
  },
  {
    fault: "allocates by a number",
    with: { device: devices.Allocates },
    finds: ["allocation ALLOCATION_UNBOUNDED tod/0 period"],
  },
  {
    fault: "makes a list as long as a number",
    with: { device: devices.Lengthens },
    finds: ["allocation ALLOCATION_UNBOUNDED tod/0 period"],
  },
  {
    fault: "counts up to a number",
    with: { device: devices.Counts },
    finds: ["allocation ALLOCATION_UNBOUNDED tod/0 period"],
  },
  {
    fault: "state at module level",
    with: { device: devices.ModuleState },
    finds: ["independence STATE_SHARED tod/0 event_count"],
  },
  {
    fault: "one initial object for all",
    with: { device: devices.SharedStart },
    finds: ["independence STATE_SHARED tod/0 lost.count"],
  },

  {
    fault: "a custom field forgets bits",
    with: flag,
    test: noGoldens,
    finds: ["laws LAW_BYTES tod-flag/0", "goldens GOLDEN_MISSING"],
  },
  {
    fault: "preSave rounds",
    with: { section: sections.halves },
    test: noGoldens,
    finds: ["laws LAW_STATE tod/0 offset", "goldens GOLDEN_MISSING"],
  },
  {
    fault: "an iterable writes in place",
    with: memory({ inPlace: true }),
    finds: [
      "saves CHECK_CHANGES_DEVICE tod-memory/0",
      "saves CHECK_CHANGES_DEVICE tod-control/0 flags",
      "refusals MACHINE_CHANGED",
    ],
  },
  {
    fault: "a decoder throws a TypeError",
    with: memory({ throws: true }),
    finds: ["refusals DECODER_FAILED tod-memory/0"],
  },

  {
    fault: "a subsection more, the same version",
    with: { device: devices.NestedModes, section: sections.withSubsection },
    finds: ["goldens WIRE_CHANGED tod/0 tod/mode"],
  },
  {
    fault: "a field more in version 3, a patch",
    with: { ...mode, section: sections.withVersion, version: "0.2.1" },
    finds: ["goldens WIRE_CHANGED tod/0"],
  },
  {
    fault: "a field more in version 3, a minor",
    with: { ...mode, section: sections.withVersion, version: "0.3.0" },
    finds: ["goldens GOLDEN_MISSING"],
  },
  {
    fault: "a field more without a version, a minor",
    with: { ...mode, section: sections.withoutVersion, version: "0.3.0" },
    finds: [
      "goldens GOLDEN_UNREADABLE tod/0 mode",
      "goldens GOLDEN_UNREADABLE tod/0 end",
      "goldens WIRE_BROKEN tod/0 mode",
    ],
  },
  {
    fault: "two fields swapped",
    with: { section: sections.swapped },
    finds: ["goldens GOLDEN_UNREADABLE tod/0 offset", "goldens WIRE_CHANGED tod/0 period"],
  },
  { fault: "no golden file", test: noGoldens, finds: ["goldens GOLDEN_MISSING"] },

  {
    fault: "names a runtime",
    test: { sources: new URL("planted/runtime-api/", import.meta.url) },
    finds: [2, 4, 6, 8].map((line) => `runtime RUNTIME_API_USED device.ts:${line}`),
  },
  {
    fault: "no sources",
    test: { sources: new URL("planted/none/", import.meta.url) },
    finds: ["runtime SOURCES_EMPTY"],
  },
  { fault: "states that cannot be", test: { arbitrary: { tod: unwritable } }, finds: ["states MOSTLY_REFUSED tod/0"] },
  {
    fault: "an exercise that does nothing",
    test: { exercise: () => {}, ...noGoldens },
    finds: ["saves EXERCISE_IDLE", "goldens GOLDEN_MISSING"],
  },
  { fault: "a setup that throws", test: { setup: throwing }, finds: ["manifest SETUP_FAILED"] },
  { fault: "companions only", test: { setup: companions }, finds: ["manifest NOTHING_REGISTERED"] },
  { fault: "a golden file that is none", test: { goldens: invalid }, finds: ["goldens GOLDEN_INVALID 0.2.0.json"] },
  {
    fault: "a timer that is not armed again",
    with: { device: devices.NeverArms },
    test: { clocks },
    finds: ["clocks NEVER_FIRES tod"],
  },
  { fault: "none, with its clocks", test: { clocks }, finds: [] },
  { fault: "no version", with: { version: "next" }, finds: ["manifest MANIFEST_INVALID version"] },
];

it("every code of the checks themselves is planted, but those that the clock harness shares", () => {
  const planting = new Set(planted.flatMap(({ finds }) => finds.map((one) => one.split(" ")[1])));
  const shared = Object.keys(clockCodes).filter((code) => !planting.has(code));
  expect(Object.keys(pluginCodes).filter((code) => !planting.has(code))).toEqual(shared);
});

describe("planted faults", () => {
  for (const { fault, with: variation = {}, test = {}, finds } of planted) {
    it(fault, async () => {
      const all = await pluginFindings(variedTest(variation, test));
      expect(all.map(found)).toEqual(finds);
      for (const { code, remedy } of all) expect(remedy).toBe(pluginCodes[code].remedy);
    });
  }
});
