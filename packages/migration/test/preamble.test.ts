import { createKernel, type Manifest, subsection, u8, virtualClock, vmstate } from "@godwit/core";
import { formatMisfit, type Misfit, misfits } from "@godwit/migration";
import { qtailq } from "@godwit/qtailq-codec";
import { describe, expect, it } from "vitest";
import { sameManifest } from "../src/godwit/preamble.ts";
import { Rig } from "./support/rig.ts";

const disk = {
  idstr: "0000:00:02.0/virtio-blk",
  instance: 0,
  version: 2,
  minimumVersion: 1,
  subsections: ["a", "b"],
  needed: ["a"],
  optional: false,
};
const card = {
  idstr: "0000:00:03.0/virtio-net",
  instance: 0,
  version: 11,
  minimumVersion: 11,
  subsections: [],
  optional: false,
};
const base: Manifest = {
  contract: 2,
  reads: [],
  kinds: [],
  machineType: "pc-q35-7.2",
  sections: [disk, card],
  ramBlocks: [{ idstr: "pc.ram", bytes: 1 << 20 }],
  plugins: [{ name: "virtio-blk", version: "0.1.0", contract: 1 }],
};

/** The card has another name here; reads the old one. */
const present = { ...card, idstr: "nic" };
const oldCard = { ...card, minimumVersion: 1, into: ["nic/0"], with: [] as string[] };
const renamedHere: Partial<Manifest> = { sections: [disk, present], reads: [oldCard] };
const mergedHere: Partial<Manifest> = {
  ...renamedHere,
  reads: [
    { ...oldCard, with: ["nic-filter/0", "nic-queues/0"] },
    { ...oldCard, idstr: "nic-filter", with: ["0000:00:03.0/virtio-net/0", "nic-queues/0"] },
    { ...oldCard, idstr: "nic-queues", with: ["0000:00:03.0/virtio-net/0", "nic-filter/0"] },
  ],
};
const filter = { ...card, idstr: "nic-filter" };
const queues = { ...card, idstr: "nic-queues" };
const kind = { name: "virtio-net", version: 11, minimumVersion: 1, subsections: [] };
const hotPlugHere: Partial<Manifest> = { sections: [disk], kinds: [kind] };

const codes = (found: readonly Misfit[]): string[] => found.map(({ code, subject }) => `${code} ${subject}`);

describe("misfits", () => {
  it("are none between equals, whatever the order", () => {
    expect(misfits(base, base)).toEqual([]);
    expect(misfits(base, { ...base, sections: [card, disk] })).toEqual([]);
  });

  it.each<[string, Partial<Manifest>]>([
    ["a device that was renamed", renamedHere],
    [
      "an optional part that did not come",
      {
        ...renamedHere,
        reads: [
          { ...oldCard, with: ["x/0"] },
          { ...oldCard, idstr: "x", optional: true, with: ["0000:00:03.0/virtio-net/0"] },
        ],
      },
    ],
    ["a device that has had several names", { ...renamedHere, reads: [oldCard, { ...oldCard, idstr: "ne2k" }] }],
    [
      "a device that became two",
      { sections: [disk, present, { ...card, idstr: "mac" }], reads: [{ ...oldCard, into: ["nic/0", "mac/0"] }] },
    ],
    [
      "a present section, whatever the old ones of its name were",
      { sections: [disk, card], reads: [{ ...oldCard, version: 1, into: [`${disk.idstr}/0`] }] },
    ],
    ["a device that can be made", hotPlugHere],
    ["a device that is retired", { sections: [disk], reads: [{ ...oldCard, into: [] }] }],
  ])("are none for %s", (_, change) => {
    expect(misfits(base, { ...base, ...change })).toEqual([]);
  });

  it("are listed all at once", () => {
    const destination: Manifest = {
      ...base,
      machineType: "pc-q35-10.0",
      sections: [
        { ...disk, version: 1 },
        { ...card, idstr: "e1000" },
      ],
      ramBlocks: [
        { idstr: "pc.ram", bytes: 2 << 20 },
        { idstr: "vga.ram", bytes: 4096 },
      ],
      plugins: [{ name: "virtio-blk", version: "2.0.0", contract: 2 }],
    };
    expect(codes(misfits(base, destination))).toEqual([
      "MACHINE_MISMATCH machine type",
      "SECTION_VERSION section 0000:00:02.0/virtio-blk/0",
      "SECTION_UNKNOWN section 0000:00:03.0/virtio-net/0",
      "SECTION_MISSING section e1000/0",
      "RAM_BLOCK_MISMATCH RAM block pc.ram",
      "RAM_BLOCK_MISMATCH RAM block vga.ram",
      "PLUGIN_CONTRACT plugin virtio-blk",
    ]);
  });

  it.each<[string, Partial<Manifest>, string, boolean]>([
    [
      "a version below the oldest readable",
      { sections: [{ ...disk, version: 5, minimumVersion: 3 }, card] },
      "SECTION_VERSION",
      true,
    ],
    [
      "a subsection that is not known",
      { sections: [{ ...disk, subsections: ["a"] }, card] },
      "SUBSECTION_UNKNOWN",
      false,
    ],
    [
      "a subsection that is not known, and needed",
      { sections: [{ ...disk, subsections: ["b"] }, card] },
      "SUBSECTION_UNKNOWN",
      true,
    ],
    ["a RAM block that is not there", { ramBlocks: [] }, "RAM_BLOCK_UNKNOWN", true],
    ["a plugin that is not there", { plugins: [] }, "PLUGIN_CONTRACT", false],
    ["a former section's version", { ...renamedHere, reads: [{ ...oldCard, version: 10 }] }, "SECTION_VERSION", true],
    ["the version of a kind", { ...hotPlugHere, kinds: [{ ...kind, version: 10 }] }, "SECTION_VERSION", true],
    ["a second instance", { sections: [disk, card, { ...card, instance: 1 }] }, "SECTION_MISSING", true],
  ])("name %s", (_, change, code, refuses) => {
    const found = misfits(base, { ...base, ...change });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ code, refuses });
  });

  it("name every part of a merge that is missing, once", () => {
    const here = { ...base, ...mergedHere };
    expect(codes(misfits(base, here))).toEqual([
      "SECTION_MISSING section nic-filter/0",
      "SECTION_MISSING section nic-queues/0",
    ]);
    expect(codes(misfits({ ...base, sections: [disk, card, filter] }, here))).toEqual([
      "SECTION_MISSING section nic-queues/0",
    ]);
    expect(misfits({ ...base, sections: [queues, disk, card, filter] }, here)).toEqual([]);
    // A part that may not be sent misses nothing yet, nor is what they become sure to come.
    const rare = { ...base, sections: [disk, { ...card, optional: true }] };
    expect(misfits(rare, here).map(({ subject, refuses }) => [subject, refuses])).toEqual([
      ["section nic-filter/0", false],
      ["section nic-queues/0", false],
      ["section nic/0", false],
    ]);
    // One that is sure to come misses them, wherever it stands.
    for (const sections of [
      [{ ...card, optional: true }, queues],
      [queues, { ...card, optional: true }],
    ]) {
      expect(misfits({ ...base, sections: [disk, ...sections] }, here)).toMatchObject([
        ...(sections[0] === queues ? [{ subject: "section 0000:00:03.0/virtio-net/0", refuses: false }] : []),
        { subject: "section nic-filter/0", refuses: true, found: "none" },
        ...(sections[0] === queues ? [] : [{ subject: "section 0000:00:03.0/virtio-net/0", refuses: false }]),
      ]);
    }
  });

  const optional = <T extends object>(of: T) => ({ ...of, optional: true });
  it.each<[string, Manifest["sections"], Partial<Manifest>, string, string]>([
    [
      "another version",
      [disk, optional({ ...card, version: 12 })],
      { sections: [disk, optional(card)] },
      "SECTION_VERSION",
      "version 12",
    ],
    [
      "what the destination needs",
      [disk, optional(card)],
      {},
      "SECTION_MISSING",
      "version 11 of 0000:00:03.0/virtio-net/0, if its state needs it",
    ],
    [
      "what becomes something that the destination needs",
      [disk, optional(card)],
      renamedHere,
      "SECTION_MISSING",
      "version 11 of 0000:00:03.0/virtio-net/0, if its state needs it",
    ],
    [
      "a part that others miss",
      [disk, card, queues, optional(filter)],
      mergedHere,
      "SECTION_MISSING",
      "version 11 of nic-filter/0, if its state needs it",
    ],
    [
      "one part of what was split, under its own name as well",
      [disk, card, optional(present)],
      {
        ...renamedHere,
        sections: [disk, present, { ...card, idstr: "mac" }],
        reads: [{ ...oldCard, into: ["nic/0", "mac/0"] }],
      },
      "SECTION_DUPLICATE",
      "nic/0 as well",
    ],
    [
      "an earlier name of a device that comes under another, first",
      [disk, optional(card), { ...card, idstr: "ne2k" }],
      { ...renamedHere, reads: [oldCard, { ...oldCard, idstr: "ne2k" }] },
      "SECTION_DUPLICATE",
      "nic/0 as well",
    ],
    ["the same twice", [disk, optional(card), card], {}, "SECTION_DUPLICATE", "two"],
  ])("do not refuse what may not be sent: %s", (_, sections, here, code, text) => {
    expect(misfits({ ...base, sections }, { ...base, ...here })).toMatchObject([{ code, refuses: false, found: text }]);
  });

  it("name a device that comes under two names", () => {
    const here = { ...base, ...renamedHere, reads: [oldCard, { ...oldCard, idstr: "ne2k" }] };
    const of = (...sections: Manifest["sections"]) => misfits({ ...base, sections: [disk, ...sections] }, here);
    const old = { ...card, idstr: "ne2k" };
    expect(of(card, present)).toEqual([
      {
        code: "SECTION_DUPLICATE",
        subject: "section 0000:00:03.0/virtio-net/0",
        refuses: true,
        expected: "one",
        found: "nic/0 as well",
      },
    ]);
    expect(codes(of(present, card))).toEqual(["SECTION_DUPLICATE section 0000:00:03.0/virtio-net/0"]);
    expect(codes(of(card, old))).toEqual(["SECTION_DUPLICATE section ne2k/0"]);
    expect(of(present, { ...old, optional: true })).toMatchObject([{ code: "SECTION_DUPLICATE", refuses: false }]);
    expect(of(old)).toEqual([]);
  });

  it("find a kind by the longest tail of the idstr, with a place or an instance", () => {
    const kinds = [kind, { ...kind, name: "pci/virtio-net", version: 3 }];
    const of = (...sections: Manifest["sections"]) =>
      misfits({ ...base, sections: [disk, ...sections] }, { ...base, ...hotPlugHere, kinds });
    expect(of(card, { ...card, idstr: "virtio-net", instance: 4 }, { ...card, idstr: "slot-1/virtio-net" })).toEqual(
      [],
    );
    expect(codes(of({ ...card, idstr: "0/pci/virtio-net" }))).toEqual(["SECTION_VERSION section 0/pci/virtio-net/0"]);
    expect(codes(of({ ...card, idstr: "slot-1/virtio-net", instance: 1 }))).toEqual([
      "SECTION_UNKNOWN section slot-1/virtio-net/1",
    ]);
    expect(codes(of({ ...card, idstr: "xvirtio-net" }))).toEqual(["SECTION_UNKNOWN section xvirtio-net/0"]);
    expect(codes(of({ ...card, subsections: ["virtio-net/rss"] }))).toEqual([
      "SUBSECTION_UNKNOWN section 0000:00:03.0/virtio-net/0, subsection virtio-net/rss",
    ]);
  });

  it("do not mind an older version that is still read, or more subsections", () => {
    const newer = { ...disk, version: 9, minimumVersion: 2, subsections: ["a", "b", "c"], optional: false };
    expect(misfits(base, { ...base, sections: [newer, card] })).toEqual([]);
    expect(misfits({ ...base, sections: [disk, disk, card] }, base)).toMatchObject([{ code: "SECTION_DUPLICATE" }]);
  });

  it("read as a sentence", () => {
    const [found] = misfits(base, { ...base, machineType: "other" });
    expect(found && formatMisfit(found)).toBe("MACHINE_MISMATCH: machine type: expected other; found pc-q35-7.2");
  });
});

describe("the preamble", () => {
  it("refuses before the first page, and gives both sides the whole list", async () => {
    const rig = new Rig({ destination: { manifest: { machineType: "other", ramBlocks: [] } } });
    const { source, destination } = await rig.run();
    expect(source.misfits.map(({ code }) => code)).toEqual(["MACHINE_MISMATCH", "RAM_BLOCK_UNKNOWN"]);
    expect(destination.misfits).toEqual(source.misfits);
    for (const { state } of [source, destination]) {
      expect(state).toMatchObject({ status: "failed", error: { code: "PREAMBLE_MISFIT" } });
      expect(state.status === "failed" && state.error.message).toContain("RAM_BLOCK_UNKNOWN: RAM block ram");
    }
    expect(rig.source.log).toEqual(["manifest"]);
    expect(rig.destination.log).toEqual(["manifest"]);
    expect(rig.source.isRunning).toBe(true);
  });

  it("does not hold a section that may never be sent against either machine", () => {
    const extra = { ...card, idstr: "extra", optional: true };
    expect(misfits({ ...base, sections: [...base.sections, extra] }, base)).toEqual([
      { code: "SECTION_UNKNOWN", subject: "section extra/0", refuses: false, expected: "none", found: "version 11" },
    ]);
    expect(misfits(base, { ...base, sections: [...base.sections, extra] })).toEqual([]);
  });

  it("warns of what may go well, and goes on", async () => {
    const sections = [
      { idstr: "ram", instance: 0, version: 4, minimumVersion: 4, subsections: ["rare"], optional: false },
    ];
    const rig = new Rig({ source: { manifest: { sections } } });
    const { source } = await rig.run();
    expect(source.warnings.map(({ code }) => code)).toEqual(["SUBSECTION_UNKNOWN"]);
    expect(source.misfits).toEqual([]);
    rig.expectMoved();
  });

  it("refuses a subsection that is needed as the migration begins, and only then", async () => {
    const blink = (grown: boolean) =>
      vmstate({
        name: "lamp",
        version: 1,
        fields: { level: u8 },
        subsections: grown
          ? {
              blink: subsection({
                name: "lamp/blink",
                version: 1,
                fields: { hertz: u8 },
                needed: ({ hertz }) => hertz !== 0,
                absent: { hertz: 0 },
              }),
            }
          : {},
      });
    const lamp = (grown: boolean, hertz: number) => {
      const kernel = createKernel({
        machineType: "lamp",
        clock: virtualClock(() => 0n),
        machine: { pause() {}, resume() {}, reset() {} },
      });
      kernel.device(blink(grown), { save: () => ({ level: 1, blink: { hertz } }) as never, load() {} });
      return kernel;
    };
    const here = lamp(false, 0).manifest();
    const told = (hertz: number) => misfits(lamp(true, hertz).manifest({ needed: true }), here);
    expect(told(2)).toMatchObject([{ code: "SUBSECTION_UNKNOWN", refuses: true, found: "lamp/blink" }]);
    expect(told(0)).toMatchObject([{ code: "SUBSECTION_UNKNOWN", refuses: false, found: "lamp/blink" }]);
    // Nobody asked: it is not known.
    expect(misfits(lamp(true, 2).manifest(), here)).toMatchObject([{ refuses: false }]);
    expect(misfits(lamp(true, 2).manifest({ needed: true }), lamp(true, 0).manifest())).toEqual([]);
  });

  it("knows what each element of a list needs", () => {
    const extra = (name: string) =>
      subsection({
        name: `node/${name}`,
        version: 1,
        fields: { value: u8 },
        needed: ({ value }) => value !== 0,
        absent: { value: 0 },
      });
    const node = vmstate({
      name: "node",
      version: 1,
      fields: { id: u8 },
      subsections: { a: extra("a"), b: extra("b") },
    });
    const chain = vmstate({ name: "chain", version: 1, fields: { nodes: qtailq(node) } });
    const kernel = createKernel({
      machineType: "chain",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    const nodes = [
      { id: 1, a: { value: 1 }, b: { value: 0 } },
      { id: 2, a: { value: 0 }, b: { value: 2 } },
    ];
    kernel.device(chain, { save: () => ({ nodes }), load() {} });
    const found = kernel.manifest({ needed: true }).sections.find(({ idstr }) => idstr === "chain");
    expect(found?.needed).toEqual(["node/a", "node/b"]);
  });

  it("does not hold for a machine that has changed since", async () => {
    const rig = new Rig();
    const manifest = rig.source.manifest();
    let calls = 0;
    rig.source.manifest = () => (calls++ === 0 ? manifest : { ...manifest, plugins: [...base.plugins] });
    const { source } = await rig.run();
    expect(source.state).toMatchObject({ status: "failed", error: { code: "MANIFEST_CHANGED" } });
    rig.expectStayed();
    expect(sameManifest(manifest, { ...manifest })).toBe(true);
    // What the state needs changes while the guest runs, and is no other machine.
    const needing = { ...manifest, sections: manifest.sections.map((section) => ({ ...section, needed: ["rare"] })) };
    expect(sameManifest(manifest, needing)).toBe(true);
  });
});
