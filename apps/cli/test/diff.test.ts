// `diff`: a stream beside itself, beside one in which something was changed by hand, and beside another release's.
import { haveStreams, readStream, streamFile } from "@godwit/test-support/streams";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteRanges } from "../src/diff/bytes.ts";
import type { Difference, SectionDifference } from "../src/diff/difference.ts";
import { ignoring } from "../src/diff/ignore.ts";
import { movedSections } from "../src/diff/order.ts";
import { smallStream } from "./bad-input-support.ts";
import { madeStream, patched, sectionOf, temporaryFile, withRecord } from "./inspect-support.ts";
import { runCli } from "./run-cli.ts";

interface Compared {
  readonly code: number;
  readonly found: Difference;
  readonly stderr: string;
}

async function compared(...args: string[]): Promise<Compared> {
  const { code, stdout, stderr } = await runCli(["diff", ...args, "--json"]);
  return { code, found: JSON.parse(stdout) as Difference, stderr };
}

/** All lists of differences, empty. */
const nothing = {
  equal: true,
  stream: [],
  sections: { onlyInA: [], onlyInB: [], moved: [], changed: [] },
  ignored: 0,
};

const changedIn = ({ found }: Compared): readonly SectionDifference[] => found.sections.changed;

describe("a long range of bytes", () => {
  it("is cut to fit a line, and says so", async () => {
    const body = (fill: number): Uint8Array => new Uint8Array(20).fill(fill, 0, 18);
    const vmdesc = {
      page_size: 4096,
      devices: [
        {
          name: "x",
          instance_id: 0,
          vmsd_name: "x",
          version: 1,
          fields: [{ name: "data", type: "buffer", size: 20 }],
        },
      ],
    };
    const made = (name: string, fill: number): string =>
      temporaryFile(name, madeStream({ sections: [{ idstr: "x", version: 1, body: body(fill) }], vmdesc }));
    const { stdout } = await runCli(["diff", made("long-a.stream", 1), made("long-b.stream", 2)]);
    expect(stdout).toContain(`    at 0x0, 18 bytes: ${"01".repeat(16)}... -> ${"02".repeat(16)}...\n`);
  });
});

describe("commands", () => {
  const { bytes, at } = smallStream();
  const path = temporaryFile("ping.stream", bytes);
  const command = at["command"] as number;

  it("differ in what they carry, not in their names alone", async () => {
    // The code is behind the type byte, the payload behind code and length.
    const other = temporaryFile("other-ping.stream", patched(bytes, command + 5, Uint8Array.of(0, 0, 0, 9)));
    const { code, found } = await compared(path, other);
    const name = "PING";
    expect(code).toBe(1);
    expect(found.stream).toEqual([{ what: "commands", a: [`${name} 0x00000001`], b: [`${name} 0x00000009`] }]);
    expect((await compared(path, other, "--ignore", "commands")).found.equal).toBe(true);
  });
});

describe.skipIf(!haveStreams())("diff", () => {
  const pseries = haveStreams() ? readStream("pseries-hotplug-net-7.2.stream") : new Uint8Array(0);
  const net = "pci@800000020000000:01.0/virtio-net/0";
  const a = (): string => temporaryFile("a.stream", pseries);
  const b = (bytes: Uint8Array): string => temporaryFile("b.stream", bytes);

  it("names exactly the one field that was changed, by the plugin's path", async () => {
    const changed = await withRecord(pseries, net, (record) => {
      record.vqs[1].last_avail_idx = 77;
    });
    const result = await compared(a(), b(changed));
    expect(result.code).toBe(1);
    expect(result.found).toMatchObject({ ...nothing, equal: false, sections: { changed: [{}] } });
    expect(changedIn(result)).toEqual([
      {
        section: net,
        by: "description",
        subsectionsOnlyInA: [],
        subsectionsOnlyInB: [],
        fields: [{ path: "vqs[1].last_avail_idx", a: 0, b: 77 }],
      },
    ]);
    expect(result.found.ram).toMatchObject({ changed: [] });
    const text = await runCli(["diff", a(), b(changed)]);
    expect(text.code).toBe(1);
    expect(text.stdout).toContain(`${net}\n  vqs[1].last_avail_idx  0 -> 77 0x4d\n`);
    expect(text.stdout.trimEnd().split("\n").at(-1)).toBe("different: sections changed: 1, fields changed: 1");
  });

  it("shows named bits as names, of fields and inside buffers", async () => {
    const changed = await withRecord(pseries, net, (record) => {
      record.status = 0x83;
      record.virtio.features64.guest_features = (1n << 32n) | 1n;
      record.transport.pci_dev.config[4] = 0x06;
      record.device.mac[5] = 0x01;
    });
    const [section] = changedIn(await compared(a(), b(changed), "--no-ram"));
    expect(section?.fields).toEqual([
      {
        path: "transport.pci_dev.config",
        bytes: { a: 256, b: 256 },
        ranges: [{ offset: 4, bytes: 1, a: "00", b: "06" }],
        names: [{ path: "command", a: 0, b: 6, set: ["MEMORY_SPACE", "BUS_MASTER"], cleared: [] }],
      },
      {
        path: "status",
        a: 0,
        b: 0x83,
        names: [{ path: "", b: 0x83, set: ["ACKNOWLEDGE", "DRIVER", "FAILED"], cleared: [] }],
      },
      { path: "device.mac", bytes: { a: 6, b: 6 }, ranges: [{ offset: 5, bytes: 1, a: "59", b: "01" }] },
      {
        path: "virtio.features64.guest_features",
        a: "0",
        b: "4294967297",
        names: [{ path: "", b: "4294967297", set: ["CSUM", "VERSION_1"], cleared: [] }],
      },
    ]);
    const { stdout } = await runCli(["diff", b(changed), a(), "--no-ram"]);
    expect(stdout).toContain("-ACKNOWLEDGE -DRIVER -FAILED");
    expect(stdout).toContain("    command: 0x6 -> 0x0  -MEMORY_SPACE -BUS_MASTER");
    expect(stdout).toContain("    at 0x4, 1 byte: 06 -> 00");
  });

  it("names a field of a section that only the vmdesc describes", async () => {
    const { bodyOffset } = await sectionOf(pseries, "cpu_common/0");
    const result = await compared(a(), b(patched(pseries, bodyOffset + 7, Uint8Array.of(5))), "--no-ram");
    expect(changedIn(result)).toMatchObject([
      { section: "cpu_common/0", by: "vmdesc", fields: [{ path: "interrupt_request", a: 0, b: 5 }] },
    ]);
  });

  it("ignores fields, sections and RAM by glob, and counts what it left out", async () => {
    const changed = await withRecord(pseries, net, (record) => {
      record.vqs[1].last_avail_idx = 77;
      record.isr = 1;
    });
    const run = (...globs: string[]) =>
      compared(a(), b(changed), "--no-ram", ...globs.flatMap((glob) => ["--ignore", glob]));
    expect(changedIn(await run("*#*.last_avail_idx"))[0]?.fields.map(({ path }) => path)).toEqual(["isr"]);
    expect(changedIn(await run(`${net}#isr`))[0]?.fields.map(({ path }) => path)).toEqual(["vqs[1].last_avail_idx"]);
    expect(changedIn(await run("*02.0/virtio-net#*"))).toHaveLength(1);
    const both = await run("*/virtio-net#isr", "*#vqs[?].*");
    expect([both.code, both.found.equal, both.found.ignored]).toEqual([0, true, 2]);
    const whole = await run("*01.0/virtio-net");
    expect([whole.code, whole.found.equal]).toEqual([0, true]);
    const text = await runCli(["diff", a(), b(changed), "--no-ram", "--ignore", "*#*"]);
    expect(text.stdout.trimEnd().split("\n").at(-1)).toBe("no difference; ignored: 2");
  });

  it("tells of sections on one side only, and of sections that changed places", async () => {
    const section = await sectionOf(pseries, net);
    const cut = joined(pseries.subarray(0, section.offset), pseries.subarray(section.offset + section.bytes));
    const without = await compared(a(), b(cut), "--no-ram");
    expect(without.found.sections).toEqual({
      onlyInA: [{ section: net, version: 11, bodyBytes: section.bodyBytes }],
      onlyInB: [],
      moved: [],
      changed: [],
    });
    expect((await compared(b(cut), a(), "--no-ram", "--ignore", "*01.0/virtio-net")).code).toBe(0);
    const { offset } = await sectionOf(pseries, "timer/0");
    const ahead = joined(
      pseries.subarray(0, offset),
      pseries.subarray(section.offset, section.offset + section.bytes),
      pseries.subarray(offset, section.offset),
      pseries.subarray(section.offset + section.bytes),
    );
    const moved = await compared(a(), b(ahead), "--no-ram");
    expect(moved.code).toBe(1);
    expect(moved.found.sections.moved).toEqual([{ section: net, placeA: expect.any(Number) as number, placeB: 1 }]);
    expect((await compared(a(), b(ahead), "--no-ram", "--ignore", "order")).code).toBe(0);
  });

  it("tells of a version and of a subsection that one side lacks, without listing what is in it", async () => {
    const { head, body = new Uint8Array(0) } = await sectionOf(pseries, net);
    const alone = (version: number, of: Uint8Array): Uint8Array =>
      madeStream({ sections: [{ idstr: head.idstr, version, body: of }] });
    const started = Uint8Array.from([5, 14, ...new TextEncoder().encode("virtio/started"), 0, 0, 0, 1, 1]);
    const more = new Uint8Array([...body, ...started]);
    const result = await compared(a(), b(pseries), "--no-ram");
    expect(result.found).toMatchObject(nothing);
    const one = temporaryFile("one.stream", alone(head.version, body));
    const two = temporaryFile("two.stream", alone(head.version, more));
    const subsection = await compared(one, two);
    expect(changedIn(subsection)).toEqual([
      { section: net, by: "description", subsectionsOnlyInA: [], subsectionsOnlyInB: ["virtio.started"], fields: [] },
    ]);
    expect(changedIn(await compared(two, one))[0]?.subsectionsOnlyInA).toEqual(["virtio.started"]);
    expect((await compared(one, two, "--ignore", "*#virtio.started")).code).toBe(0);
    const simple = (version: number): string =>
      temporaryFile(`v${version}.stream`, madeStream({ sections: [{ idstr: "x", version, body: Uint8Array.of(1) }] }));
    const version = await compared(simple(1), simple(2), "--footer-scan");
    expect(changedIn(version)).toMatchObject([{ section: "x/0", version: { a: 1, b: 2 }, fields: [] }]);
    expect((await compared(simple(1), simple(2), "--footer-scan", "--ignore", "x#version")).code).toBe(0);
  });

  it("tells of the stream's own things", async () => {
    const one = temporaryFile("m1.stream", madeStream({ machineType: "made-1.0" }));
    const two = temporaryFile("m2.stream", madeStream({ machineType: "made-2.0", uuid: new Uint8Array(16).fill(7) }));
    const { found, code } = await compared(one, two);
    expect(code).toBe(1);
    expect(found.stream).toEqual([
      { what: "machineType", a: "made-1.0", b: "made-2.0" },
      { what: "uuid", a: null, b: "07".repeat(16) },
    ]);
    expect((await compared(one, two, "--ignore", "machineType", "--ignore", "uuid")).code).toBe(0);
    const text = await runCli(["diff", one, two]);
    expect(text.stdout).toContain("machineType: made-1.0 -> made-2.0\n");
  });

  it("compares streams without a vmdesc by a given one, and takes one of the two from a pipe", async () => {
    const bare = readStream("q35-bare-7.2.stream");
    const vmdesc = ["--vmdesc", streamFile("q35-bare-7.2.stream")];
    const result = await compared(
      streamFile("q35-bare-novmdesc-7.2.stream"),
      streamFile("q35-bare-7.2.stream"),
      ...vmdesc,
    );
    expect(result.found.notes).toContain("only B has a vmdesc");
    expect(result.found.sections.onlyInA).toEqual([]);
    expect(changedIn(result).every(({ by }) => by === "vmdesc")).toBe(true);
    const path = temporaryFile("bare.stream", bare);
    const pieces = Array.from({ length: Math.ceil(bare.length / 7) }, (_, i) => bare.slice(7 * i, 7 * i + 7));
    const piped = await runCli(["diff", "-", path, "--json"], { stdin: pieces });
    expect(JSON.parse(piped.stdout)).toMatchObject(nothing);
    expect(piped.code).toBe(0);
    expect((await runCli(["diff", "-", "-"], { stdin: bare })).code).toBe(2);
  });

  it("says which of the two is faulty", async () => {
    const cut = b(pseries.subarray(0, pseries.length - 10_000));
    const { code, stdout, stderr } = await runCli(["diff", a(), cut, "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { message: expect.stringContaining("b.stream") as string } });
    expect(stderr).toContain("b.stream");
    expect((await runCli(["diff", a(), cut, "--ranges", "many"])).code).toBe(2);
  });

  it("compares the same device of two releases path by path", async () => {
    const paths = ["q35-vtd-virtio-7.2.stream", "q35-vtd-virtio-10.0.stream"].map(streamFile);
    const { found, code } = await compared(...(paths as [string, string]), "--no-ram");
    expect(code).toBe(1);
    expect(found.stream.map(({ what }) => what)).toEqual(["machineType", "commands"]);
    expect(found.sections.moved).toEqual([{ section: "mc146818rtc/0", placeA: 17, placeB: 12 }]);
    const section = (key: string): SectionDifference | undefined =>
      found.sections.changed.find((one) => one.section === key);
    const vtd = section("iommu-intel/0");
    expect(vtd?.by).toBe("description");
    expect(vtd?.fields.find(({ path }) => path === "csr")?.names).toContainEqual({
      path: "CAP",
      a: "59110346977575558",
      b: "59110346978166406",
      set: ["SAGAW=39-bit,48-bit", "MGAW=48"],
      cleared: ["SAGAW=39-bit", "MGAW=39"],
    });
    const balloon = section("0000:00:04.0/virtio-balloon/0");
    expect(balloon?.by).toBe("description");
    // 10.0's balloon has MSI-X and one of 7.2 has none: fields that one side lacks stand beside those that both have.
    expect(balloon?.fields).toContainEqual({ path: "transport.config_vector", b: 0 });
    expect(balloon?.fields.find(({ path }) => path === "vqs[0].desc")).toMatchObject({
      a: "86888448",
      b: "87961600",
    });
  });
});

describe("the parts of a comparison", () => {
  it("finds exactly the bytes that differ", () => {
    const bytes = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const { ranges } = byteRanges(a, b);
        const told = new Set(
          ranges.flatMap(({ offset, bytes: count }) => Array.from({ length: count }, (_, i) => offset + i)),
        );
        for (let at = 0; at < Math.min(a.length, b.length); at++) expect(told.has(at)).toBe(a[at] !== b[at]);
        for (const { offset, bytes: count, a: own } of ranges) {
          expect(own).toBe(Buffer.from(a.subarray(offset, offset + count)).toString("hex"));
        }
      }),
      { seed: 5 },
    );
  });

  it("bounds what it lists of a buffer, and counts the rest", () => {
    const a = new Uint8Array(100);
    const b = a.map((_, at) => at % 2);
    const { ranges, moreRanges } = byteRanges(a, b);
    expect([ranges.length, moreRanges]).toEqual([16, 34]);
    const [long] = byteRanges(new Uint8Array(100), new Uint8Array(100).fill(1)).ranges;
    expect([long?.bytes, long?.a.length, long?.b.length]).toEqual([100, 64, 64]);
  });

  it("calls the fewest sections moved that make the orders differ", () => {
    const keys = ["a", "b", "c", "d", "e"];
    expect(movedSections(keys, keys)).toEqual([]);
    expect(movedSections(keys, ["e", "a", "b", "c", "d"])).toEqual([{ section: "e", placeA: 4, placeB: 0 }]);
    expect(movedSections(["a", "x", "b"], ["a", "y", "b"])).toEqual([]);
    fc.assert(
      fc.property(fc.shuffledSubarray(keys, { minLength: 5 }), (order) => {
        const moved = new Set(movedSections(keys, order).map(({ section }) => section));
        const stays = (of: readonly string[]): string => of.filter((key) => !moved.has(key)).join("");
        expect(stays(order)).toBe(stays(keys));
        // Nobody can do with fewer.
        const longest = subsets(keys)
          .filter((subset) => order.filter((key) => subset.includes(key)).join("") === subset.join(""))
          .reduce((most, subset) => Math.max(most, subset.length), 0);
        expect(5 - moved.size).toBe(longest);
      }),
      { seed: 11 },
    );
  });

  it("takes a glob with # for fields, and one without for sections", () => {
    const ignore = ignoring(["0000:00:0?.0/virtio-net", "timer/0", "*#a[1].b", "ram#pc.*"]);
    expect(ignore.section("0000:00:01.0/virtio-net/3")).toBe(true);
    expect(ignore.section("timer/0")).toBe(true);
    expect(ignore.section("timer/1")).toBe(false);
    expect(ignore.section("ram")).toBe(false);
    expect(ignore.field("x/0", "a[1].b")).toBe(true);
    expect(ignore.field("x/0", "a[2].b")).toBe(false);
    expect(ignore.field("ram", "pc.ram")).toBe(true);
    expect(ignore.field("ram", "vga")).toBe(false);
  });
});

const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

function subsets(keys: readonly string[]): string[][] {
  return Array.from({ length: 2 ** keys.length }, (_, bits) => keys.filter((_key, i) => (bits >> i) & 1));
}
