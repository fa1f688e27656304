// The plan for a whole stream: what is edited, what must be set at the destination, and what is refused.

import { type Side, sideOf } from "@godwit/core/compatibility";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { machineType } from "../src/retarget/machine.ts";
import { planRetarget } from "../src/retarget/plan.ts";
import { isAllowed, planLines } from "../src/retarget/report.ts";
import type { RetargetPlan, RetargetSource } from "../src/retarget/types.ts";
import { suppliedDump, suppliedSource } from "./retarget-sources.ts";

const textOf = (plan: RetargetPlan): string => [...planLines(plan)].join("\n");

const emptyDump = (machine: string): Side => sideOf({ vmschkmachine: { Name: machine } }, "dump");

const emptySource = (machineType: string, more: Partial<RetargetSource> = {}): RetargetSource => ({
  configuration: { machineType, pageBits: 0, capabilities: [], uuid: undefined },
  commands: [],
  sections: [],
  ...more,
});

describe.skipIf(!haveStreams())("retargeting to QEMU 7.2 by its dump", () => {
  const dump = () => suppliedDump("pc-q35-7.2.qemu-7.2");

  it("a bare machine: its name, and the command that only QEMU 10.0 knows", async () => {
    const plan = planRetarget(await suppliedSource("q35-bare-10.0-m10.0"), dump());
    expect(plan.machine).toEqual({ source: "pc-q35-10.0", destination: "pc-q35-7.2" });
    expect(plan.edits).toEqual([
      { kind: "machine", name: "pc-q35-7.2" },
      { kind: "drop-command", command: 0x0b },
    ]);
    expect([plan.losses, plan.options, plan.refusals]).toEqual([[], [], []]);
    expect(isAllowed(plan, false)).toBe(true);
    expect(textOf(plan)).toContain("no reason found in what was given");
  });

  it("a Linux guest: the IOMMU needs aw-bits=48, which 7.2 does not have by itself", async () => {
    const plan = planRetarget(await suppliedSource("q35-retarget-10.0"), dump());
    expect(plan.edits.map(({ kind }) => kind)).toEqual(["machine", "drop-command"]);
    expect([plan.losses, plan.refusals]).toEqual([[], []]);
    expect(plan.options.map(({ device }) => device)).toEqual([
      "intel-iommu",
      "virtio-net-pci",
      "virtio-blk-pci",
      "virtio-rng-pci",
    ]);
    expect(plan.options[0]?.properties[0]).toEqual({ name: "aw-bits", value: "48", instead: "39" });
    const text = textOf(plan);
    expect(text).toContain("-device intel-iommu,aw-bits=48,caching-mode=on,device-iotlb=on,");
    expect(text).toContain("if nothing is said, pc-q35-7.2 has aw-bits=39");
  });

  it("a balloon with MSI-X is refused; register and option are named", async () => {
    const plan = planRetarget(await suppliedSource("q35-vtd-virtio-10.0"), dump());
    expect(plan.refusals).toHaveLength(1);
    expect(plan.refusals[0]).toMatchObject({
      kind: "layout",
      section: "0000:00:04.0/virtio-balloon/0",
      register: { offset: 0x34, name: "PCI capabilities pointer (0x34)" },
      found: "0x98",
      destination: "0x84",
    });
    expect(isAllowed(plan, true)).toBe(false);
    // What cannot be said there is not named.
    const balloon = plan.options.find(({ device }) => device === "virtio-balloon-pci");
    expect(balloon?.text).toBe("-device virtio-balloon-pci,addr=04.0,disable-legacy=on,disable-modern=off");
    const text = textOf(plan);
    expect(text).toContain("aw-bits=48");
    expect(text).toMatch(
      /^refused: 0000:00:04\.0\/virtio-balloon\/0: PCI capabilities pointer \(0x34\): 0x98 in the stream/m,
    );
    expect(text).not.toContain("no reason found");
  });

  it("the destination's own stream says more: its IOMMU, and the same register of the balloon", async () => {
    const target = await suppliedSource("q35-vtd-virtio-7.2");
    const plan = planRetarget(await suppliedSource("q35-vtd-virtio-10.0"), dump(), target);
    expect(plan.refusals.map(({ section, register }) => [section, register?.offset])).toEqual([
      ["iommu-intel/0", 0x08],
      ["0000:00:04.0/virtio-balloon/0", 0x34],
    ]);
    // Bits 16 to 21, and the widths in bits 8 to 12: 48 bits and four levels, against 39 and three.
    expect(plan.refusals[0]).toMatchObject({ found: "0x00d2008c222f0686", destination: "0x00d2008c22260286" });
  });

  it("nothing is done to a stream of that machine, and nothing found against it", async () => {
    const own = await suppliedSource("q35-vtd-virtio-7.2");
    const plan = planRetarget(own, dump(), own);
    expect([plan.edits, plan.losses, plan.refusals]).toEqual([[], [], []]);
    expect(plan.notes).toEqual(["no reason found in what was given why pc-q35-7.2 would refuse it"]);
  });

  it("the destination's own stream tells of sections and fields on one side alone", async () => {
    const bare = await suppliedSource("q35-bare-7.2");
    const without = bare.sections.filter(({ head }) => head.idstr !== "pcspk");
    const target = { ...bare, sections: without };
    const notes = planRetarget(bare, dump(), target).notes;
    expect(notes[0]).toBe(
      "pcspk/0: the destination has saved no such section: without the device it refuses the stream",
    );
    expect(planRetarget(bare, dump(), { vmdesc: bare.vmdesc }).notes).toHaveLength(1);
    const less = planRetarget({ ...bare, sections: without }, dump(), bare).notes;
    expect(less[0]).toMatch(/^pcspk\/0: the destination has saved such a section, and the stream has none/);
    const older = planRetarget(bare, { ...dump(), machine: "pc-q35-7.1" }, bare).notes;
    expect(older[0]).toBe("the destination's own stream is of pc-q35-7.2, its dump of pc-q35-7.1");
    // A field that neither table nor dump tells of.
    const shorter = bare.sections.map((section) => {
      const { listed, body } = section;
      if (listed?.vmsd_name !== "i8254") return section;
      return { ...section, body: body?.slice(0, -8), listed: { ...listed, fields: listed.fields?.slice(0, -1) ?? [] } };
    });
    const noted = planRetarget(bare, dump(), { ...bare, sections: shorter }).notes;
    expect(noted[0]).toMatch(/^i8254\/0: only the stream has [^;]+: if the machine decides about that/);
  });

  it("a balloon without MSI-X is not refused by a machine whose balloons have none", async () => {
    const own = await suppliedSource("q35-vtd-virtio-7.2");
    expect(planRetarget(own, { ...dump(), machine: "pc-q35-7.1" }).refusals).toEqual([]);
    // What 10.0 has by itself is known, and that it can be set.
    const newer = planRetarget(own, suppliedDump("pc-q35-10.0.qemu-10.0"));
    expect(newer.refusals).toEqual([]);
    const balloon = newer.options.find(({ device }) => device === "virtio-balloon-pci");
    expect(balloon?.properties).toContainEqual({ name: "vectors", value: "0", instead: "2" });
  });

  it("of a release that nobody looked at nothing is foretold", async () => {
    const source = await suppliedSource("q35-vtd-virtio-10.0");
    expect(planRetarget(source, { ...dump(), machine: "pc-q35-8.1" }).refusals).toEqual([]);
    expect(planRetarget(source, { ...dump(), machine: "pc-q35-6.2" }).refusals).toHaveLength(1);
  });
});

describe.skipIf(!haveStreams())("fields that a machine type decides about", () => {
  const refused = async (stream: string, machine: string) =>
    planRetarget(await suppliedSource(stream), { ...suppliedDump("pc-i440fx-7.2.qemu-7.2"), machine }).refusals;

  it("are refused by machines that do not read them, at the release that was seen", async () => {
    const smb = { kind: "fields", section: "0000:00:1f.3/ich9_smb/0", found: "has the field irq_enabled" };
    expect(await refused("q35-bare-7.2", "pc-q35-3.1")).toMatchObject([smb]);
    expect(await refused("q35-bare-7.2", "pc-q35-4.0")).toEqual([]);
    expect(await refused("q35-bare-10.0-m10.0", "pc-q35-2.12")).toMatchObject([smb]);
    const pm = "0000:00:01.3/piix4_pm/0";
    expect(await refused("i440fx-bare-10.0-m7.2", "pc-i440fx-7.0")).toEqual([]);
    expect(await refused("i440fx-bare-10.0-m7.2", "pc-i440fx-6.2")).toMatchObject([
      { section: pm, found: "has the field acpi_pci_hotplug.acpi_index" },
    ]);
    expect(await refused("i440fx-bare-10.0-m7.2", "pc-i440fx-3.1")).toHaveLength(2);
  });

  it("are missed by machines that read them", async () => {
    const { configuration, commands, sections } = await suppliedSource("q35-bare-7.2");
    const older = sections.map((section) => {
      const { listed, body } = section;
      if (listed?.vmsd_name !== "ich9_smb") return section;
      const [device] = listed.fields ?? [];
      return {
        ...section,
        body: body?.slice(0, device?.size),
        listed: { ...listed, fields: device === undefined ? [] : [device] },
      };
    });
    const source = { configuration, commands, sections: older };
    const { refusals } = planRetarget(source, suppliedDump("pc-q35-10.0.qemu-10.0"));
    expect(refusals).toMatchObject([{ kind: "fields", found: "has not the field irq_enabled" }]);
    expect(planRetarget(source, { ...suppliedDump("pc-q35-7.2.qemu-7.2"), machine: "pc-q35-3.0" }).refusals).toEqual(
      [],
    );
  });
});

describe("what is not about devices", () => {
  const plan = (source: RetargetSource, machine: string) => planRetarget(source, emptyDump(machine));

  it("keeps the command where the destination sends it itself, and drops it elsewhere", () => {
    const commands = [{ command: 1 }, { command: 11 }];
    const source = emptySource("pc-q35-10.0", { commands });
    expect(plan(source, "pc-q35-10.0").edits).toEqual([]);
    expect(plan(source, "pc-q35-10.1").edits).toEqual([{ kind: "machine", name: "pc-q35-10.1" }]);
    expect(plan(source, "pc-q35-9.2").edits).toContainEqual({ kind: "drop-command", command: 11 });
  });

  it("refuses a command that nobody knows", () => {
    const { refusals } = plan(emptySource("pc-q35-10.0", { commands: [{ command: 0x55 }] }), "pc-q35-7.2");
    expect(refusals).toMatchObject([{ kind: "capability", found: "command 0x55" }]);
  });

  it("refuses another kind of machine", () => {
    const { refusals } = plan(emptySource("pc-q35-10.0"), "pc-i440fx-7.2");
    expect(refusals).toMatchObject([{ kind: "machine", found: "pc-q35-10.0", destination: "pc-i440fx-7.2" }]);
    expect(plan(emptySource("pc-q35-10.0"), "pc-q35-2.4").refusals).toEqual([]);
  });

  it("refuses machines so old that they have another container, in both directions", () => {
    expect(plan(emptySource("pc-i440fx-2.4"), "pc-i440fx-2.3").refusals).toMatchObject([{ kind: "machine" }]);
    expect(plan(emptySource("x", { configuration: undefined }), "pc-i440fx-2.4").refusals).toMatchObject([
      { kind: "machine", found: "none" },
    ]);
    expect(plan(emptySource("x", { configuration: undefined }), "pc-i440fx-2.3").refusals).toEqual([]);
  });

  it("refuses a mapped-ram file, and says what makes a stream of it", () => {
    const configuration = { machineType: "pc-q35-10.0", pageBits: 0, capabilities: ["mapped-ram"], uuid: undefined };
    const { refusals } = plan(emptySource("", { configuration }), "pc-q35-7.2");
    expect(refusals).toMatchObject([{ kind: "capability", found: "mapped-ram" }]);
    expect(refusals[0]?.why).toContain("godwit convert");
  });

  it("tells edits in words, and of a long value only its beginning", () => {
    const edits: RetargetPlan["edits"] = [
      { kind: "machine", name: "m-2" },
      { kind: "drop-command", command: 11 },
      { kind: "drop-section", section: "a/0" },
      { kind: "drop-subsection", section: "a/1", subsection: "a/b" },
      { kind: "version", section: "c/0", version: 2 },
    ];
    const value = "A".repeat(87_000);
    const losses = [{ section: "a/0", path: "buf", value, absent: undefined, safe: false }];
    const machine = { source: "m-1", destination: "m-2" };
    expect([...planLines({ machine, edits, losses, options: [], refusals: [], notes: [] })]).toEqual([
      "m-1 -> m-2",
      `lost: a/0#buf = ${"A".repeat(60)}... (87000 characters); nobody tells what the destination takes instead`,
      "edit: the machine type's name becomes m-2",
      "edit: the command SWITCHOVER_START (0xb) is left out",
      "edit: a/0 is left out",
      "edit: a/1: its subsection a/b is left out",
      "edit: c/0: its version becomes 2",
    ]);
  });

  it("takes names of machine types apart", () => {
    expect(machineType("pc-q35-4.0.1")).toEqual({ name: "pc-q35-4.0.1", family: "pc-q35", release: [4, 0, 1] });
    expect(machineType("s390-ccw-virtio-10.0").family).toBe("s390-ccw-virtio");
    expect(machineType("microvm")).toEqual({ name: "microvm", family: "microvm", release: undefined });
  });
});
