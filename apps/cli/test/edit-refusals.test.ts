// What `godwit edit` does not do: its code, its exit, and that nothing is left behind.
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findVmdesc } from "@godwit/core/stream";
import { haveStreams, readStream, streamsFolder } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { prepareEdits, writeVerified } from "../src/edit/apply.ts";
import { readDevicePart } from "../src/edit/device-part.ts";
import { keepPagesInPlace } from "../src/edit/mapped-ram.ts";
import { openSource } from "../src/edit/source.ts";
import { silent, type Terminal } from "../src/io/terminal.ts";
import { catalogueWith } from "../src/model/catalogue.ts";
import { sectionOf, vmdescTextOf, workshop } from "./edit-support.ts";

const bare = "q35-bare-7.2.stream";
const linux = "q35-retarget-10.0.stream";
const hotplug = "pseries-hotplug-net-7.2.stream";
const postcopy = "tiny-postcopy-7.2.stream";
const dump = (name: string): string => join(streamsFolder(), "dump-vmstate", name);

interface Refused {
  readonly args: readonly string[];
  readonly code: string;
  readonly exit: 1 | 2;
  /** What standard error must hold besides. */
  readonly says?: RegExp;
}

const wrongUse: readonly (readonly [string, Refused])[] = [
  ["nothing to edit", { args: [], code: "EDIT_NOTHING", exit: 2 }],
  [
    "a section that is not there",
    { args: ["--drop", "vmmous"], code: "SECTION_NOT_FOUND", exit: 2, says: /did you mean vmmouse/ },
  ],
  [
    "the name of several sections",
    { args: ["--drop", "i8259"], code: "SECTION_AMBIGUOUS", exit: 2, says: /i8259\/0, i8259\/1/ },
  ],
  [
    "a path that is not there",
    { args: ["--set", "cpu#env.reg[2]=1"], code: "EDIT_PATH_UNKNOWN", exit: 2, says: /env\.regs\[2\]/ },
  ],
  ["an assignment without a path", { args: ["--set", "cpu=1"], code: "EDIT_SYNTAX", exit: 2 }],
  ["a value that is none", { args: ["--set", "cpu#env.regs[2]=0xzz"], code: "EDIT_VALUE", exit: 2 }],
  ["bytes that are none", { args: ["--set", "globalstate#runstate=hex:abc"], code: "EDIT_VALUE", exit: 2 }],
  ["base64 that is none", { args: ["--set", "globalstate#runstate=base64:%%"], code: "EDIT_VALUE", exit: 2 }],
  [
    "a number that JSON does not hold",
    { args: ["--set", "cpu#env.regs=[18446744073709551615]"], code: "EDIT_VALUE", exit: 2, says: /decimal string/ },
  ],
  [
    "a file of values that is not there",
    { args: ["--add-subsection", "cpu#cpu/x=@none"], code: "INPUT_UNREADABLE", exit: 2 },
  ],
  [
    "a subsection that is not there",
    {
      args: ["--drop", "cpu#cpu/poll_control"],
      code: "EDIT_SUBSECTION_UNKNOWN",
      exit: 2,
      says: /cpu\/poll_control_msr/,
    },
  ],
  ["a command that is not there", { args: ["--drop-command", "PING"], code: "EDIT_COMMAND_UNKNOWN", exit: 2 }],
  [
    "a command that does not exist",
    { args: ["--drop-command", "PINGG"], code: "EDIT_COMMAND_UNKNOWN", exit: 2, says: /PING/ },
  ],
  ["a machine without a name", { args: ["--rename-machine", ""], code: "EDIT_SYNTAX", exit: 2 }],
  [
    "dropping and setting at once",
    { args: ["--drop", "vmmouse", "--set", "vmmouse#nb_queue=0"], code: "EDIT_CONFLICT", exit: 2 },
  ],
  ["force without retargeting", { args: ["--drop", "vmmouse", "--force"], code: "OPTION_ALONE", exit: 2 }],
  ["a dump that is none", { args: ["--retarget", bare], code: "DUMP_INVALID", exit: 1 }],
];

const refused: readonly (readonly [string, Refused])[] = [
  ["RAM", { args: ["--drop", "ram"], code: "EDIT_ITERABLE", exit: 1 }],
  ["a value in RAM", { args: ["--set", "ram#x=1"], code: "EDIT_ITERABLE", exit: 1 }],
  [
    "a value that is too large",
    {
      args: ["--set", "port92#outport=256"],
      code: "BITS_RANGE",
      exit: 1,
      says: /section port92\/0, field outport, byte \d+/,
    },
  ],
  ["a buffer of another length", { args: ["--set", "globalstate#runstate=hex:00"], code: "BITS_RANGE", exit: 1 }],
  [
    "an array of another length",
    { args: ["--set", "cpu#env.regs=[1,2]"], code: "BITS_RANGE", exit: 1, says: /godwit schema tells/ },
  ],
  [
    "a type that is not known",
    {
      args: ["--set", "0000:00:00.0/mch#parent_obj.irq_state=hex:00"],
      code: "EDIT_TYPE_UNKNOWN",
      exit: 1,
      says: /pci irq state/,
    },
  ],
  [
    "a subsection for what nothing describes",
    { args: ["--add-subsection", "cpu#cpu/x={}"], code: "EDIT_UNDESCRIBED", exit: 1, says: /--plugin/ },
  ],
];

describe.skipIf(!haveStreams())("refused, and nothing is left", () => {
  it.each([...wrongUse, ...refused])("%s", async (_, { args, code, exit, says = /./ }) => {
    const { put, edit, files, get } = workshop();
    put(bare);
    put("out", "as it was");
    const told = await edit([bare, "-o", "out", ...args]);
    expect([told.code, told.stdout]).toEqual([exit, ""]);
    expect(told.stderr).toContain(`(${code})`);
    expect(told.stderr).toMatch(says);
    const json = await edit([bare, "-o", "out", ...args, "--json"]);
    expect([json.code, JSON.parse(json.stdout).error.code]).toEqual([exit, code]);
    expect(files()).toEqual(["out", bare].sort());
    expect(Buffer.from(get("out")).toString()).toBe("as it was");
  });

  it.each<[string, string, Refused]>([
    [
      "a count alone",
      hotplug,
      {
        args: ["--set", "pci@800000020000000:01.0/virtio-net#queue_count=2"],
        code: "COUNT_MISMATCH",
        exit: 1,
        says: /field vqs/,
      },
    ],
    [
      "a field that does not fit",
      hotplug,
      {
        args: ["--set", "pci@800000020000000:01.0/virtio-net#status=999"],
        code: "BITS_RANGE",
        exit: 1,
        says: /field status/,
      },
    ],
    [
      "what others depend on",
      hotplug,
      {
        args: ["--drop", "pci@800000020000000:01.0/virtio-net#virtio/64bit_features"],
        code: "PARAMETER_WRONG",
        exit: 1,
      },
    ],
    [
      "a subsection that is there",
      hotplug,
      {
        args: ["--add-subsection", "pci@800000020000000:01.0/virtio-net#virtio/64bit_features={}"],
        code: "EDIT_SUBSECTION_PRESENT",
        exit: 2,
      },
    ],
    [
      "a subsection that does not exist",
      hotplug,
      {
        args: ["--add-subsection", "pci@800000020000000:01.0/virtio-net#virtio/start={}"],
        code: "EDIT_SUBSECTION_UNKNOWN",
        exit: 2,
        says: /virtio\/started/,
      },
    ],
    [
      "a subsection that is not complete",
      hotplug,
      { args: ["--add-subsection", "spapr#spapr_fwnmi={}"], code: "FIELD_MISSING", exit: 1 },
    ],
    [
      "values of a subsection that are none",
      hotplug,
      { args: ["--add-subsection", "spapr#spapr_fwnmi=1"], code: "EDIT_VALUE", exit: 2 },
    ],
    [
      "a key that the description does not have",
      hotplug,
      { args: ["--set", "spapr_drc/physical/1073741824#dr_indicators=1"], code: "SECTION_NOT_FOUND", exit: 2 },
    ],
    [
      "the package of post-copy",
      postcopy,
      { args: ["--drop-command", "PACKAGED", "--vmdesc", "given"], code: "EDIT_COMMAND", exit: 1 },
    ],
    ["more than --hold allows", bare, { args: ["--drop", "vmmouse", "--hold", "10K"], code: "HOLD_BOUND", exit: 1 }],
  ])("%s", async (_, stream, { args, code, exit, says = /./ }) => {
    const { put, edit, files } = workshop();
    put(stream);
    if (args.includes("given")) put("given", readStream("tiny-precopy-7.2.stream"));
    const { stderr, code: found } = await edit([stream, "-o", "out", ...args]);
    expect(stderr).toContain(`(${code})`);
    expect(stderr).toMatch(says);
    expect(found).toBe(exit);
    expect(files()).not.toContain("out");
    expect(files().filter((name) => name.includes("partial") || name.includes("spool"))).toEqual([]);
  });

  it("a stream that somebody still writes", async () => {
    const { put, folder, files } = workshop();
    put(bare);
    const terminal = { folder, note() {} } as unknown as Terminal;
    const source = await openSource(bare, "out", terminal);
    appendFileSync(join(folder, bare), "more");
    await expect(source.again()).rejects.toMatchObject({ code: "STREAM_CHANGED", exit: 1 });
    source.close();
    expect(files()).toEqual([bare]);
  });

  it("a truncated stream, from a file and from a pipe", async () => {
    const { put, edit, files } = workshop();
    const bytes = readStream(bare);
    put("cut", bytes.subarray(0, 250_000));
    for (const [name, stdin] of [
      ["cut", undefined],
      ["-", bytes.subarray(0, 250_000)],
    ] as const) {
      const run = await edit([name, "-o", "out", "--rename-machine", "x"], stdin && { stdin });
      expect([run.code, run.stderr.includes("_TRUNCATED") || run.stderr.includes("UNDELIMITED")]).toEqual([1, true]);
    }
    expect(files()).toEqual(["cut"]);
  });

  it.each([
    ["a folder", "folder", "OUTPUT_FOLDER"],
    ["a folder that is not there", "none/out", "OUTPUT_UNWRITABLE"],
    ["a device, which is not replaced", "/dev/null", "OUTPUT_SPECIAL"],
  ])("an output that is %s", async (_, output, code) => {
    const { put, edit, files, folder } = workshop();
    put(bare);
    mkdirSync(join(folder, "folder"));
    const run = await edit([bare, "-o", output, "--rename-machine", "x"]);
    expect([run.code, run.stderr.includes(`(${code})`)]).toEqual([2, true]);
    expect(files()).toEqual(["folder", bare]);
  });

  it("an output that is not said, and one that standard output cannot be", async () => {
    const { put, edit } = workshop();
    put(bare);
    const told = async (...args: string[]) => (await edit([bare, "--rename-machine", "x", ...args])).stderr;
    expect(await told()).toContain("(OUTPUT_MISSING)");
    expect(await told("-o", "-", "--json")).toContain("(OUTPUT_JSON)");
  });
});

describe.skipIf(!haveStreams())("standard output, and trying out", () => {
  it("the stream comes whole, and what is told goes elsewhere", async () => {
    const { put, edit, get, files } = workshop();
    put(bare);
    const args = ["--rename-machine", "pc-q35-7.1", "--drop", "vmmouse"];
    expect((await edit([bare, "-o", "out", ...args])).code).toBe(0);
    for (const [name, stdin] of [
      [bare, undefined],
      ["-", readStream(bare)],
    ] as const) {
      const run = await edit([name, "-o", "-", ...args], stdin && { stdin });
      expect([run.code, run.stdout, Buffer.compare(run.bytes, get("out"))]).toEqual([0, "", 0]);
      expect(run.stderr).toMatch(/pc-q35-7\.2 -> pc-q35-7\.1/);
    }
    expect(files()).toEqual(["out", bare]);
  });

  it("a dry run tells all of it and writes nothing", async () => {
    const { put, edit, files } = workshop();
    put(bare);
    const run = await edit([bare, "--dry-run", "--drop", "vmmouse", "--json"]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    const { output, bytes, edits } = JSON.parse(run.stdout);
    expect([output, edits.length]).toEqual([null, 1]);
    expect(bytes).toBeLessThan(readStream(bare).length - 4000);
    expect((await edit([bare, "--dry-run", "--drop", "vmmouse"])).stdout).toMatch(/nothing was written/);
    expect(files()).toEqual([bare]);
  });
});

describe.skipIf(!haveStreams())("retargeting", () => {
  it("does what the plan says, once there is nothing against it", async () => {
    const { put, edit, part } = workshop();
    put("q35-bare-10.0-m10.0.stream");
    const run = await edit([
      "q35-bare-10.0-m10.0.stream",
      "-o",
      "out",
      "--retarget",
      dump("pc-q35-7.2.qemu-7.2.json"),
      "--json",
    ]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    const { edits, retarget } = JSON.parse(run.stdout);
    expect(edits.map(({ kind, path }: Record<string, string>) => [kind, path])).toEqual([
      ["machine", "name"],
      ["drop-command", "SWITCHOVER_START"],
    ]);
    expect(retarget).toMatchObject({
      machine: { source: "pc-q35-10.0", destination: "pc-q35-7.2" },
      losses: [],
      refusals: [],
    });
    const { configuration, commands } = await part("out");
    expect([configuration?.machineType, commands]).toEqual(["pc-q35-7.2", []]);
  });

  it("refuses a register that the guest has seen, force or not; the options are told", async () => {
    const { put, edit, files } = workshop();
    put("q35-vtd-virtio-10.0.stream");
    const args = ["q35-vtd-virtio-10.0.stream", "-o", "out", "--retarget", dump("pc-q35-7.2.qemu-7.2.json"), "--force"];
    const run = await edit(args);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/0000:00:04\.0\/virtio-balloon\/0: PCI capabilities pointer \(0x34\)/);
    expect(run.stderr).toMatch(/intel-iommu,aw-bits=48/);
    expect(run.stderr).toMatch(/EDIT_REFUSED/);
    const json = await edit([...args, "--json"]);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      output: null,
      edits: [],
      retarget: { refusals: [{ register: { offset: 0x34 } }] },
    });
    expect(files()).toEqual(["q35-vtd-virtio-10.0.stream"]);
  });

  it("asks for force before a value is lost", async () => {
    const { put, edit, part, files } = workshop();
    put("s390-ccw-5dev-10.0.stream");
    const args = ["s390-ccw-5dev-10.0.stream", "-o", "out", "--retarget", dump("s390-ccw-virtio-7.2.qemu-7.2.json")];
    const run = await edit(args);
    expect([run.code, run.stderr.includes("--force accepts that")]).toEqual([1, true]);
    expect(files()).toEqual(["s390-ccw-5dev-10.0.stream"]);
    const forced = await edit([...args, "--force"]);
    expect(forced.code).toBe(0);
    expect(forced.stdout).toMatch(/lost: qemu-s390-flic\/0#/);
    const before = sectionOf(await part("s390-ccw-5dev-10.0.stream"), "qemu-s390-flic/0");
    expect(sectionOf(await part("out"), "qemu-s390-flic/0").bodyBytes).toBeLessThan(before.bodyBytes);
  });
});

describe.skipIf(!haveStreams())("what is held, and what is checked", () => {
  it("what is held is the devices' bytes, however much RAM there is", async () => {
    const { put, edit, part } = workshop();
    put(linux);
    const { sections, bytes } = await part(linux);
    const held = sections.reduce((sum, { body }) => sum + (body?.length ?? 0), 0);
    expect(held).toBeLessThan(bytes / 100);
    const drop = [linux, "--dry-run", "--drop", "vmmouse", "--hold"];
    expect((await edit([...drop, String(held)])).code).toBe(0);
    expect((await edit([...drop, String(held - 1)])).stderr).toContain("(HOLD_BOUND)");
  });

  it("a result that is not what was meant is our mistake, and is thrown", async () => {
    const { put, folder } = workshop();
    put(bare);
    const terminal = { folder, progress: () => silent, note() {} } as unknown as Terminal;
    const options = { catalogue: catalogueWith(), holdBytes: 1 << 26 };
    const source = await openSource(bare, "out", terminal);
    try {
      const part = await readDevicePart(source.first, options);
      const plan = await prepareEdits(
        source,
        part,
        [{ kind: "set", section: "port92", path: "outport", value: 7 }],
        options.catalogue,
      );
      const { bytes } = await writeVerified(source, part, plan, options);
      expect(bytes).toBe(readStream(bare).length);
      const broken = [
        { ...plan, splices: [] },
        { ...plan, machineType: "x" },
        { ...plan, dropped: new Set(["vmmouse/0"]) },
        { ...plan, splices: plan.splices.map((one) => ({ ...one, removeBytes: one.removeBytes + 1 })) },
        { ...plan, vmdescText: undefined },
      ];
      for (const one of broken)
        await expect(writeVerified(source, part, one, options)).rejects.toThrow(/not what was meant/);
    } finally {
      source.close();
    }
  });

  it("so that it ends as one, and the file that was begun is gone", async () => {
    const { put, edit, files, get } = workshop();
    put(bare);
    put("out", "as it was");
    const plugin = fileURLToPath(new URL("edit-flaky-plugin.ts", import.meta.url));
    const run = await edit([bare, "-o", "out", "--set", "port92#outport=7", "--plugin", plugin]);
    expect([run.code, run.stdout]).toEqual([3, ""]);
    expect(run.stderr).toMatch(/not what was meant: port92\/0 is not read any more \(INTERNAL\)/);
    expect(files()).toEqual(["out", bare]);
    expect(Buffer.from(get("out")).toString()).toBe("as it was");
  });

  it("the vmdesc's manifest, which told of the machine before, is left out where that changes", async () => {
    const { put, edit, get } = workshop();
    const bytes = readStream(bare);
    const { at } = findVmdesc(bytes) ?? expect.unreachable();
    const text = Buffer.from(vmdescTextOf(bytes).replace(/\}$/, ', "godwit": {"format": 1}}'));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(text.length);
    put("ours", new Uint8Array(Buffer.concat([bytes.subarray(0, at + 1), length, text])));
    expect((await edit(["ours", "-o", "set", "--set", "port92#outport=1"])).stdout).not.toMatch(/manifest/);
    expect(vmdescTextOf(get("set"))).toBe(String(text));
    expect((await edit(["ours", "-o", "out", "--drop", "vmmouse"])).stdout).toMatch(/note: the manifest/);
    expect(vmdescTextOf(get("out"))).not.toContain("godwit");
  });

  it("a mapped-ram file without room before its pages is refused", () => {
    const mapped = { blockBytes: 64 * 4096, pageBytes: 4096, bitmapOffset: 1 << 20, pagesOffset: (1 << 20) + 8 + 3 };
    const part = { mapped } as never;
    const growing = (bytes: number) => [{ offset: 9, removeBytes: 0, insert: new Uint8Array(bytes) }];
    expect(keepPagesInPlace(part, growing(3)).map(({ offset, removeBytes }) => [offset, removeBytes])).toEqual([
      [(1 << 20) - 16, 8],
      [(1 << 20) + 8, 3],
    ]);
    expect(() => keepPagesInPlace(part, growing(4))).toThrow(
      expect.objectContaining({ code: "EDIT_MAPPED_RAM", exit: 1 }),
    );
    expect(keepPagesInPlace(part, [{ offset: 2 << 20, removeBytes: 0, insert: new Uint8Array(9) }])).toEqual([]);
  });
});
