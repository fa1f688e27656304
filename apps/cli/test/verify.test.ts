// `godwit verify`: every real stream is written again as it was; a wrong byte planted anywhere is found, and named.
import { buffer, customField, MigrationError, u8, vmstate } from "@godwit/core";
import { haveStreams, manifest, readStream, streamsFolder } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import type { Section } from "../src/model/read-stream.ts";
import { verifyDevice } from "../src/verify/device.ts";
import { type Finding, Findings } from "../src/verify/findings.ts";
import type { VerifyReport } from "../src/verify/report.ts";
import { vmdescAgain } from "../src/verify/vmdesc-text.ts";
import { changed, Folder, smallStream } from "./bad-input-support.ts";
import { type Run, runCli } from "./run-cli.ts";

const reportOf = ({ stdout }: Run): VerifyReport => JSON.parse(stdout) as VerifyReport;
const { bytes: small, at } = smallStream();
const place = (name: string, more = 0): number => (at[name] as number) + more;

describe.skipIf(!haveStreams())("a real stream", () => {
  const cases = haveStreams() ? manifest() : [];
  const streams = cases.flatMap(({ files }) => files.filter(({ stream }) => stream !== undefined));

  it("is one of 24", () => {
    expect(streams.length).toBe(24);
  });

  const givenVmdesc: Readonly<Record<string, string>> = {
    "tiny-postcopy-7.2.stream": "tiny-precopy-7.2.stream.zst",
    "q35-bare-novmdesc-7.2.stream": "q35-bare-7.2.stream.zst",
  };

  it.each(streams.map((file) => [file.raw, file] as const))("%s is written again as it was", async (raw, file) => {
    const given = givenVmdesc[raw];
    const more = given === undefined ? [] : ["--vmdesc", `${streamsFolder()}/${given}`];
    const run = await runCli(["verify", `${streamsFolder()}/${file.file}`, "--json", ...more]);
    expect(run.stderr).toBe("");
    expect(run.code).toBe(0);
    const report = reportOf(run);
    const { stream } = file;
    expect(report.findings).toEqual([]);
    expect(report.machineType).toBe(stream?.config.name);
    expect(report.streamBytes).toBe(file.bytes);
    expect(report.vmdesc).toBe(stream?.vmdesc === true ? "same" : "absent");
    const names = stream?.sections.map(({ idstr, instance }) => `${idstr}/${instance}`);
    expect(report.sections.map(({ section }) => section)).toEqual(names);
    for (const { idstr, instance, bytes, kind } of stream?.sections ?? []) {
      const section = report.sections.find((one) => one.section === `${idstr}/${instance}`);
      if (kind === "full") expect(section?.bodyBytes, idstr).toBe(bytes);
    }
    // All of it, but for two iterables of QEMU's, and the places of mapped-ram where no page is.
    const sum = Object.values(report.comparedBytes).reduce((a, b) => a + b, 0);
    expect(sum + report.notComparedBytes).toBe(file.bytes);
    const walked = report.sections.filter(({ by }) => by === "walker");
    expect(walked.every(({ section }) => /^(spapr\/htab|s390-storage_attributes)\/0$/.test(section))).toBe(true);
    expect(report.sections.filter(({ by }) => by === "nothing")).toEqual([]);
    const unknown = walked.reduce((all, { bodyBytes }) => all + bodyBytes, 0);
    if (!raw.startsWith("tiny-mappedram")) expect(report.notComparedBytes).toBe(unknown);
    const described = report.sections.filter(({ by }) => by === "description");
    expect(described.every(({ stateToo, bodyBytes, comparedBytes }) => stateToo && bodyBytes === comparedBytes)).toBe(
      true,
    );
    if (/virtio|pseries|ccw/.test(raw)) expect(described.length).toBeGreaterThan(0);
  });

  it("of mapped-ram is compared page by page, its holes are not", async () => {
    const report = reportOf(await runCli(["verify", `${streamsFolder()}/tiny-mappedram-10.0.stream.zst`, "--json"]));
    const [ram] = report.sections;
    const pages = (ram?.records ?? 0) - 4;
    // Pages, and what stands about them: the list, the ends.
    expect((report.comparedBytes.ramRecords - pages * 4096) / pages).toBeLessThan(1);
    expect(ram?.comparedBytes).toBe((ram?.bodyBytes ?? 0) - report.notComparedBytes);
  });

  it("says the same of a pipe, and without --json", async () => {
    const bytes = readStream("q35-bare-10.0-m10.0.stream");
    const run = await runCli(["verify", "-"], { stdin: bytes });
    expect(run.code).toBe(0);
    expect(run.stdout).toContain("pc-q35-10.0, 323536 bytes");
    expect(run.stdout).toMatch(/ram\/0 +247127 {2}4230 records/);
    expect(run.stdout).toContain("not compared: 0 bytes");
    expect(run.stdout).toContain("no difference in what was compared");
    const report = reportOf(await runCli(["verify", "-", "--json"], { stdin: bytes }));
    expect(report.comparedBytes).toEqual({
      framing: 323536 - 31691 - 247127,
      byDescription: 0,
      byVmdesc: 31691,
      ramRecords: 247127,
    });
  });

  it("has lists in its vmdesc whose keys are there twice: its text is printed again whole", () => {
    const text =
      '{"page_size": 4096, "devices": [{"name": "a", "x": 1, "x": -2, "u": "\\u00E9\\n", "e": [], "o": {}}]}';
    expect(vmdescAgain(text)).toBe(text);
    expect(vmdescAgain(text.replace(": 4096", ":4096"))).toBe(text);
    expect(vmdescAgain(text.replace("\\u00E9", "é"))).toBe(text);
    expect(vmdescAgain("{nonsense}")).toBeUndefined();
  });
});

async function planted(offset: number, value: number, stream = small): Promise<Finding | undefined> {
  const run = await runCli(["verify", "-", "--json"], { stdin: changed(stream, offset, value) });
  expect(run.code).toBe(1);
  const { error, findings } = JSON.parse(run.stdout) as { error?: Finding; findings?: Finding[] };
  expect(run.stderr).not.toMatch(/\n\s+at .*:\d+/);
  return error ?? findings?.[0];
}

describe("a planted byte", () => {
  it("is not in the stream as it is", async () => {
    const report = reportOf(await runCli(["verify", "-", "--json"], { stdin: small }));
    expect(report).toMatchObject({ differences: 0, notComparedBytes: 0, vmdesc: "same" });
    expect(report.sections.map(({ section, by }) => [section, by])).toEqual([
      ["ram/0", "records"],
      ["iommu-intel/0", "description"],
      ["gadget/7", "vmdesc"],
    ]);
  });

  it.each([
    ["the magic", 0, 0x50, { section: "header", path: "magic", offset: 0 }],
    ["the version", 7, 4, { section: "header", path: "version", offset: 4 }],
    ["the name's length", place("configuration", 3), 0x20, { section: "configuration", code: "LENGTH_BOUND" }],
    ["a section's type", place("command"), 0x44, { section: "stream", path: "type", offset: at["command"] }],
    ["an idstr", place("start", 6), 0x71, { code: "SECTION_UNDELIMITED", section: "qam/0" }],
    ["the total of RAM", place("start", 17 + 6), 0x30, { section: "ram/0", path: "blocks[0].used_length" }],
    ["a block's length", place("start", 17 + 8 + 7 + 5), 1, { section: "ram/0", path: "blocks[0].used_length" }],
    ["a record's flags", place("records", 7), 0x42, { section: "ram/0", path: "records[0].flags" }],
    ["a page's place", place("page", 5), 1, { section: "ram/0", code: "RAM_OFFSET" }],
    ["a footer's mark", place("partFooter"), 0x7d, { section: "ram/0", path: "footer", code: "FOOTER_MISSING" }],
    ["a footer's id", place("partFooter", 4), 9, { section: "ram/0", path: "footer", code: "FOOTER_MISMATCH" }],
    ["a PART's id", place("part", 4), 9, { code: "SECTION_ID", path: "section_id" }],
    ["a command", place("command", 2), 0x42, { code: "COMMAND_UNKNOWN", section: "command" }],
    ["a command's length", place("command", 4), 3, { code: "COMMAND_LENGTH", section: "command" }],
    [
      "a device's version",
      place("described", 1 + 4 + 12 + 4 + 3),
      7,
      { code: "SECTION_VERSION", section: "iommu-intel/0" },
    ],
    [
      "the end, behind which the vmdesc stands",
      place("eof"),
      0x05,
      { code: "SECTION_UNDELIMITED", section: "gadget/7" },
    ],
    ["the vmdesc's length", place("eof", 5), 1, {}],
  ] as const)("in %s is named", async (_, offset, value, expected) => {
    const finding = await planted(offset, value);
    expect(finding).toMatchObject(expected);
    expect(finding?.offset).toBeLessThanOrEqual(small.length);
  });

  it("in a described field is found by writing it again", async () => {
    const body = place("described", 1 + 4 + 12 + 4 + 4);
    // VT-d's last four bytes are booleans: 2 is read as true, and written as 1.
    const finding = await planted(body + 600, 2);
    expect(finding).toMatchObject({
      code: "STATE_DIFFERS",
      section: "iommu-intel/0",
      path: "intr_enabled",
      offset: body + 600,
      expected: expect.stringMatching(/^0x01/),
      found: expect.stringMatching(/^0x02/),
    });
  });

  it("in padding is found", async () => {
    const body = place("described", 1 + 4 + 12 + 4 + 4);
    expect(await planted(body + 597, 0x11)).toMatchObject({ code: "STATE_DIFFERS", offset: body + 597 });
  });

  it("in the vmdesc's text is found", async () => {
    const text = Buffer.from(small).toString("latin1");
    // A blank more is JSON still, and not as QEMU prints it.
    const blank = text.indexOf(", ", at["eof"]) + 1;
    expect(await planted(blank, 0x0a)).toMatchObject({ code: "VMDESC_TEXT", section: "vmdesc", offset: blank });
    const name = text.indexOf("gadget", at["eof"]);
    expect(await planted(name, 0x47)).toMatchObject({ code: "SECTION_UNDELIMITED", section: "gadget/7" });
    const size = text.lastIndexOf('"size": 602');
    if (size >= 0) expect((await planted(size + 8, 0x35))?.section).toBe("iommu-intel/0");
  });

  it("in a vmdesc that lists a device too many is found, from a file too", async () => {
    const text = Buffer.from(small).toString("latin1");
    const vmdesc = text.slice((at["eof"] as number) + 6);
    const more = vmdesc.replace('"devices": [', '"devices": [{"name": "ghost", "instance_id": 0, "size": 4}, ');
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, more.length);
    const stream = new Uint8Array([...small.slice(0, place("eof", 2)), ...length, ...Buffer.from(more, "latin1")]);
    using folder = new Folder();
    for (const run of [
      await runCli(["verify", folder.file("more.stream", stream), "--json"]),
      await runCli(["verify", "-", "--json"], { stdin: stream }),
    ]) {
      expect(run.code).toBe(1);
      expect(reportOf(run).findings[0]).toMatchObject({
        code: "VMDESC_SECTIONS",
        path: "devices[0].name",
        expected: "iommu-intel/0",
        found: "ghost/0",
      });
    }
  });

  it("is told in words, the first first", async () => {
    const body = place("described", 1 + 4 + 12 + 4 + 4);
    const stream = changed(changed(small, body + 600, 2), body + 597, 0x11);
    const run = await runCli(["verify", "-"], { stdin: stream });
    expect(run.code).toBe(1);
    expect(run.stdout).toContain("1 difference");
    expect(run.stdout).toContain(`section iommu-intel/0, field _unused, byte ${body + 597}`);
  });
});

/** Two bytes, of which the second is not kept: what a description may do wrong that loses what it reads. */
const forgetful = customField<number, { bytes: Uint8Array | undefined }>({
  kind: "forgetful",
  begin: () => ({ bytes: undefined }),
  next: (steps) => (steps.bytes === undefined ? buffer(2) : undefined),
  take(steps, value) {
    steps.bytes = value as Uint8Array;
  },
  end: (steps) => steps.bytes?.[0] ?? 0,
  *encode(value) {
    yield { field: buffer(2), value: Uint8Array.of(value, 0) };
  },
});

describe("a description", () => {
  const description = vmstate({ name: "lossy", version: 1, fields: { first: u8, second: forgetful } });
  const section = (body: Uint8Array, described: unknown = { plugin: "mine", description, parameters: {} }): Section =>
    ({
      phase: "full",
      head: { sectionId: 1, idstr: "lossy", instance: 0, version: 1 },
      key: "lossy/0",
      body,
      bodyOffset: 1000,
      described,
      listed: undefined,
    }) as unknown as Section;

  it("that does not keep what it reads is found out", () => {
    const findings = new Findings();
    expect(verifyDevice(section(Uint8Array.of(7, 8, 0)), findings)).toMatchObject({
      by: "description",
      stateToo: true,
    });
    expect(findings.count).toBe(0);
    verifyDevice(section(Uint8Array.of(7, 8, 9)), findings);
    expect(findings.kept).toEqual([
      expect.objectContaining({
        code: "BYTES_DIFFER",
        section: "lossy/0",
        path: "second",
        offset: 1002,
        expected: "0x00",
        found: "0x09",
      }),
    ]);
  });

  it("that does not fit is no verification", () => {
    const findings = new Findings();
    const verified = verifyDevice(section(Uint8Array.of(7, 8, 0, 1)), findings);
    expect(verified).toMatchObject({ by: "nothing", comparedBytes: 0 });
    expect(findings.kept).toEqual([expect.objectContaining({ code: "STREAM_TRAILING", offset: 1003 })]);
    const wrong = new MigrationError("PARAMETER_WRONG", "so many queues there are not", { path: "queues" });
    verifyDevice(section(Uint8Array.of(1), wrong), findings);
    expect(findings.kept.map(({ code, path }) => [code, path])).toContainEqual(["PARAMETER_WRONG", "queues"]);
  });
});

describe.skipIf(!haveStreams())("a byte planted in a real stream", () => {
  it("in a device that the vmdesc alone lists is found when a subsection is another", async () => {
    const stream = readStream("q35-bare-7.2.stream");
    const name = Buffer.from(stream).indexOf("\x05\x0afw_cfg/dma", 0, "latin1");
    const finding = await planted(name + 3, 0x58, stream);
    expect(finding).toMatchObject({ code: "VMDESC_INVALID", section: "fw_cfg/0", path: "fw_cfg/dma" });
    expect(Math.abs((finding?.offset ?? 0) - name)).toBeLessThan(32);
  });
});
