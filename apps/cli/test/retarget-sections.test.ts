// Sections, subsections and versions that the destination does not read, and what goes with them.
import { type Description, encodeState, type StateOf, subsection, u8, u32, vmstate } from "@godwit/core";
import { type Side, sideOf } from "@godwit/core/compatibility";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { decoded } from "../src/retarget/decoded.ts";
import { namesOf } from "../src/retarget/dumped.ts";
import { isOutsideDumps, registeredWithoutClass } from "../src/retarget/outside-dumps.ts";
import { planRetarget } from "../src/retarget/plan.ts";
import { isAllowed } from "../src/retarget/report.ts";
import { planSections } from "../src/retarget/sections.ts";
import type { RetargetSection } from "../src/retarget/types.ts";
import { suppliedDump, suppliedSource } from "./retarget-sources.ts";

/** A device whose subsections are sent though they hold what the destination takes anyway: as QEMU's older ones are. */
const device = vmstate({
  name: "uart",
  version: 2,
  fields: { lcr: u8 },
  subsections: {
    fifo: subsection({
      name: "uart/fifo",
      version: 1,
      fields: { level: u32, trigger: u8 },
      needed: () => true,
      absent: { level: 0, trigger: 1 },
    }),
    clock: subsection({
      name: "uart/clock",
      version: 1,
      fields: { divisor: u32 },
      needed: (own) => own.divisor !== 0,
      absent: ({ record }) => ({ divisor: Number(record["lcr"]) }),
    }),
  },
});

function sectionOf(state: StateOf<typeof device>, version = 2): RetargetSection {
  const described = { plugin: "test", description: device as Description, parameters: undefined };
  const head = { sectionId: 7, idstr: "0000:00:03.0/uart", instance: 0, version };
  const body = encodeState(device, state);
  return { phase: "full", head, key: "0000:00:03.0/uart/0", body, bodyOffset: 100, listed: undefined, described };
}

interface DumpedDescription {
  readonly name: string;
  readonly version_id: number;
  readonly minimum_version_id: number;
  readonly Fields: readonly object[];
  readonly Subsections: readonly DumpedDescription[];
}

/** As `-dump-vmstate` has it. */
const description = (name: string, more: Partial<DumpedDescription> = {}): DumpedDescription => ({
  name,
  version_id: 2,
  minimum_version_id: 1,
  Fields: [],
  Subsections: [],
  ...more,
});

/** Classes of one name each, though their descriptions may share one. */
const dumpWith = (...of: DumpedDescription[]): Side =>
  sideOf(
    {
      vmschkmachine: { Name: "pc-q35-7.2" },
      ...Object.fromEntries(of.map((one, i) => [`class-${i}`, { Name: `class-${i}`, Description: one }])),
    },
    "dump",
  );

const state = { lcr: 3, fifo: { level: 0, trigger: 1 }, clock: { divisor: 9 } };
const plan = (section: RetargetSection, dump: Side) => planSections([decoded(section)], dump, undefined);

describe("subsections", () => {
  const key = "0000:00:03.0/uart/0";

  it("are dropped safely where they hold what the destination takes anyway, and else are losses", () => {
    const { edits, losses } = plan(sectionOf(state), dumpWith(description("uart")));
    expect(edits).toEqual([
      { kind: "drop-subsection", section: key, subsection: "uart/fifo" },
      { kind: "drop-subsection", section: key, subsection: "uart/clock" },
    ]);
    expect(losses).toEqual([
      { section: key, path: "fifo.level", value: 0, absent: 0, safe: true },
      { section: key, path: "fifo.trigger", value: 1, absent: 1, safe: true },
      { section: key, path: "clock.divisor", value: 9, absent: 3, safe: false },
    ]);
  });

  it("stay where one of the classes of that name knows them", () => {
    const other = description("uart", { Subsections: [description("uart/fifo"), description("uart/clock")] });
    expect(plan(sectionOf(state), dumpWith(description("uart"), other)).edits).toEqual([]);
    const nested = description("uart", {
      Fields: [{ ...field("chip"), Description: description("chip", { Subsections: [description("uart/clock")] }) }],
    });
    expect(plan(sectionOf(state), dumpWith(nested)).edits).toEqual([
      { kind: "drop-subsection", section: key, subsection: "uart/fifo" },
    ]);
  });

  it("one without fields is a loss all the same: that it is there is what it tells", () => {
    const absent = {};
    const flag = subsection({ name: "uart/flag", version: 1, fields: {}, needed: () => true, absent });
    const flagged = vmstate({ name: "uart", version: 2, fields: { lcr: u8 }, subsections: { flag } });
    const body = encodeState(flagged, { lcr: 3, flag: {} });
    const described = { plugin: "test", description: flagged as Description, parameters: undefined };
    const { edits, losses } = plan({ ...sectionOf(state), body, described }, dumpWith(description("uart")));
    expect(edits).toEqual([{ kind: "drop-subsection", section: key, subsection: "uart/flag" }]);
    expect(losses).toMatchObject([{ section: key, path: "flag", value: {}, absent: undefined, safe: false }]);
  });

  it("decide whether force is needed", () => {
    const source = (clock: number) => ({
      configuration: { machineType: "pc-q35-7.2", pageBits: 0, capabilities: [], uuid: undefined },
      commands: [],
      sections: [sectionOf({ ...state, clock: { divisor: clock } })],
    });
    const lossy = planRetarget(source(9), dumpWith(description("uart")));
    expect([isAllowed(lossy, false), isAllowed(lossy, true)]).toEqual([false, true]);
    expect(lossy.notes).toEqual([]);
    const safe = planRetarget(source(3), dumpWith(description("uart")));
    expect([isAllowed(safe, false), safe.losses.every((one) => one.safe)]).toEqual([true, true]);
    expect(safe.notes.join()).toContain("no reason found");
  });
});

const field = (name: string, since = 0) => ({ field: name, version_id: since, field_exists: false, size: 4 });

describe("sections and versions", () => {
  const key = "0000:00:03.0/uart/0";

  it.each([
    ["that nothing describes", Uint8Array.of(1, 2, 3), "AQID"],
    ["of no bytes", new Uint8Array(0), {}],
  ])("a section %s is not dropped as if nothing were lost", (_, body, value) => {
    const { edits, losses } = plan({ ...sectionOf(state), body, described: undefined }, dumpWith(description("hpet")));
    expect(edits).toEqual([{ kind: "drop-section", section: key }]);
    expect(losses).toMatchObject([{ section: key, value, absent: undefined, safe: false }]);
  });

  it("a section of no class is dropped with all its values", () => {
    const { edits, losses, notes } = plan(sectionOf(state), dumpWith(description("hpet")));
    expect(edits).toEqual([{ kind: "drop-section", section: key }]);
    expect(losses.map(({ path, value, safe }) => [path, value, safe])).toEqual([
      ["lcr", 3, false],
      ["fifo.level", 0, false],
      ["fifo.trigger", 1, false],
      ["clock.divisor", 9, false],
    ]);
    expect(notes).toHaveLength(1);
  });

  it("unless the destination has saved one itself, or dumps are silent about its kind", () => {
    const own = decoded(sectionOf(state));
    const target = {
      sections: undefined,
      vmdesc: { page_size: 4096, devices: [{ name: own.head.idstr, instance_id: 0 }] },
    };
    expect(planSections([own], dumpWith(), target).edits).toEqual([]);
    expect(planSections([own], dumpWith(), { sections: [own] }).edits).toEqual([]);
    expect(planSections([own], dumpWith(), { sections: [] }).edits).toHaveLength(1);
    const cpu = {
      ...sectionOf(state),
      head: { sectionId: 1, idstr: "cpu", instance: 0, version: 12 },
      described: undefined,
    };
    expect(plan(cpu, dumpWith()).edits).toEqual([]);
  });

  it("a version above is lowered, one below what is read is refused", () => {
    expect(plan(sectionOf(state), dumpWith(description("uart", { version_id: 1 }))).edits).toContainEqual({
      kind: "version",
      section: key,
      version: 1,
    });
    const { refusals, edits } = plan(
      sectionOf(state, 1),
      dumpWith(
        description("uart", {
          minimum_version_id: 2,
          Subsections: [description("uart/fifo"), description("uart/clock")],
        }),
      ),
    );
    expect(edits).toEqual([]);
    expect(refusals).toMatchObject([{ kind: "version", section: key, found: "version 1" }]);
  });

  it("what a lower version does not have is lost; what it names is not", () => {
    const listed = {
      name: "0000:00:03.0/uart",
      instance_id: 0,
      vmsd_name: "uart",
      version: 2,
      fields: [
        { name: "lcr", type: "uint8", size: 1 },
        { name: "ier", type: "uint8", size: 1 },
      ],
    };
    const section = { ...sectionOf(state), listed, described: undefined, body: new Uint8Array([3, 5]) };
    const older = description("uart", { version_id: 1, Fields: [field("lcr"), field("ier", 2)] });
    expect(plan(section, dumpWith(older)).losses).toEqual([
      { section: key, path: "ier", value: 5, absent: undefined, safe: false },
    ]);
  });
});

describe.skipIf(!haveStreams())("real streams", () => {
  it("an s390 guest of 10.0 has an interrupt pending that 7.2 has no place for", async () => {
    const source = await suppliedSource("s390-ccw-5dev-10.0");
    const result = planRetarget(source, suppliedDump("s390-ccw-virtio-7.2.qemu-7.2"));
    const { edits, losses } = result;
    const section = "qemu-s390-flic/0";
    expect(edits).toContainEqual({ kind: "drop-subsection", section, subsection: "qemu-s390-flic-full" });
    expect(losses).toHaveLength(10);
    expect(losses).toContainEqual({
      section,
      path: "qemu-s390-flic-full.pending",
      value: 16,
      absent: undefined,
      safe: false,
    });
    expect([isAllowed(result, false), isAllowed(result, true)]).toEqual([false, true]);
    // The newer QEMU has it for the older machine, too.
    expect(planRetarget(source, suppliedDump("s390-ccw-virtio-7.2.qemu-10.0")).losses).toEqual([]);
  });

  it("what a dump lacks is dropped, with each value of it", async () => {
    const source = await suppliedSource("q35-bare-10.0-m10.0");
    const dump = suppliedDump("pc-q35-7.2.qemu-7.2");
    const classes = dump.classes.filter(({ description: { name } }) => name !== "hpet");
    const { edits, losses } = planRetarget(source, { ...dump, classes });
    expect(edits.at(-1)).toEqual({ kind: "drop-section", section: "hpet/0" });
    expect(losses).toContainEqual({
      section: "hpet/0",
      path: "num_timers_save",
      value: 3,
      absent: undefined,
      safe: false,
    });
  });

  it("dumps are silent about what is listed as outside of them, and about nothing else", async () => {
    const pairs = [
      ["q35-bare-7.2", "pc-q35-7.2.qemu-7.2"],
      ["q35-bare-10.0-m10.0", "pc-q35-10.0.qemu-10.0"],
      ["i440fx-bare-10.0-m7.2", "pc-i440fx-7.2.qemu-7.2"],
      ["pseries-hotplug-net-cpu-dimm-7.2", "pseries-7.2.qemu-7.2"],
      ["s390-ccw-5dev-10.0", "s390-ccw-virtio-7.2.qemu-10.0"],
    ] as const;
    const outside = new Set<string>();
    for (const [stream, dumpName] of pairs) {
      const known = new Set(suppliedDump(dumpName).classes.map(({ description: { name } }) => name));
      for (const section of (await suppliedSource(stream)).sections) {
        if (section.phase !== "full") continue;
        const names = namesOf(section);
        const isKnown = names.some((name) => known.has(name));
        expect(isKnown || isOutsideDumps(names), `${stream}: ${section.key}`).toBe(true);
        if (!isKnown) outside.add(names[0] as string);
      }
    }
    // RAM is no section of values; `slirp` is in a stream with a user network alone.
    expect([...outside, "ram", "slirp"].sort()).toEqual([...registeredWithoutClass].sort());
  });
});
