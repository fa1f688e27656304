// `inspect` on what is not a plain whole file: pipes, faults, what is left out; and the values that it gives.
import { findVmdesc } from "@godwit/core/stream";
import { haveStreams, readStream, streamFile, streamsFolder } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { checkpointOf } from "../src/inspect/collect.ts";
import type { InspectedField, Inspection } from "../src/inspect/inspection.ts";
import { mayShow } from "../src/inspect/redact.ts";
import { madeStream, patched, placeOf, sectionOf, sectionsOf, temporaryFile, withRecord } from "./inspect-support.ts";
import { runCli } from "./run-cli.ts";

const inspection = (stdout: string): Inspection => JSON.parse(stdout) as Inspection;

function* pieces(bytes: Uint8Array, length: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.slice(at, at + length);
}

const fieldsIn = ({ sections }: Inspection): Map<string, InspectedField> =>
  new Map(
    sections.flatMap(({ idstr, instance, fields = [] }) =>
      fields.map((field) => [`${idstr}/${instance}#${field.path}`, field] as const),
    ),
  );

describe.skipIf(!haveStreams())("inspect", () => {
  const bare = haveStreams() ? readStream("q35-bare-7.2.stream") : new Uint8Array(0);
  const pseries = haveStreams() ? readStream("pseries-hotplug-net-7.2.stream") : new Uint8Array(0);

  it.each([1, 7, 100_000])("says the same of a pipe that brings %i bytes at a time", async (length) => {
    const path = temporaryFile("bare.stream", bare);
    const args = ["--section", "*", "--json"];
    const file = await runCli(["inspect", path, ...args]);
    const pipe = await runCli(["inspect", "-", ...args], { stdin: pieces(bare, length) });
    expect(pipe.code).toBe(0);
    const { stream, ...found } = inspection(pipe.stdout);
    const { stream: known, ...expected } = inspection(file.stdout);
    expect(found).toEqual(expected);
    expect(stream).toEqual({ ...known, name: "standard input" });
    const text = await runCli(["inspect", "-"], { stdin: pieces(bare, length) });
    expect(text.stdout).toBe((await runCli(["inspect", path])).stdout.replace(path, "standard input"));
  });

  it("shows what came before a fault, and the fault", async () => {
    const postcopy = readStream("tiny-postcopy-7.2.stream");
    const args = ["inspect", "-", "--vmdesc", streamFile("tiny-precopy-7.2.stream")];
    const whole = inspection((await runCli([...args, "--json"], { stdin: postcopy })).stdout);
    const cpu = whole.sections.find(({ idstr }) => idstr === "cpu") as Inspection["sections"][number];
    const cut = [postcopy.slice(0, cpu.offset), postcopy.slice(cpu.offset, cpu.offset + 100)];
    const { code, stdout, stderr } = await runCli([...args, "--json"], { stdin: cut });
    expect(code).toBe(1);
    const found = inspection(stdout);
    expect(found.error).toMatchObject({ code: "STREAM_TRUNCATED", section: "cpu/0", path: "body" });
    expect(found.sections).toEqual(whole.sections.slice(0, whole.sections.indexOf(cpu)));
    expect(found.sections.slice(-2).map(({ idstr }) => idstr)).toEqual(["timer", "cpu_common"]);
    expect(found.commands).toEqual(whole.commands.filter(({ offset }) => offset < cpu.offset));
    expect(found.machineType).toBe("pc-q35-7.2");
    expect([found.eof, found.vmdesc, found.stream.bytes]).toEqual([null, null, null]);
    expect(stderr).toContain("STREAM_TRUNCATED");
    const text = await runCli(args, { stdin: cut });
    expect(text.code).toBe(1);
    expect(text.stdout).toContain("cpu_common/0");
    expect(text.stdout).not.toContain("kvm-tpr-opt");
    expect(text.stderr).toContain("section cpu/0");
    expect(text.stderr).not.toMatch(/^ +at .*:\d+:\d+/m);
  });

  it("shows the sections before a wrong byte in the same piece of a file", async () => {
    const bytes = readStream("q35-bare-7.2.stream").slice();
    const { sections } = inspection((await runCli(["inspect", temporaryFile("whole", bytes), "--json"])).stdout);
    const at = sections.findIndex(({ idstr }) => idstr === "kvm-tpr-opt");
    bytes[sections[at]?.offset as number] = 0x5a;
    const { code, stdout } = await runCli(["inspect", temporaryFile("flipped", bytes), "--json"]);
    expect(code).toBe(1);
    const found = inspection(stdout);
    expect(found.error).toMatchObject({ code: "SECTION_TYPE", offset: sections[at]?.offset });
    expect(found.sections).toEqual(sections.slice(0, at));
    expect(found.sections.at(-1)?.idstr).toBe("cpu");
  });

  it("reads a pipe's sections by the stream's own vmdesc, whatever other one was given", async () => {
    const bare = readStream("q35-bare-7.2.stream");
    const given = ["--vmdesc", streamFile("tiny-precopy-7.2.stream"), "--section", "*", "--json"];
    const file = await runCli(["inspect", temporaryFile("own", bare), ...given]);
    const pipe = await runCli(["inspect", "-", ...given], { stdin: [bare.slice(0, 1000), bare.slice(1000)] });
    expect([file.code, pipe.code]).toEqual([0, 0]);
    const other = { ...findVmdesc(bare)?.vmdesc, devices: [{ name: "timer", instance_id: 0, size: 24 }] };
    const wrong = temporaryFile("wrong.json", new TextEncoder().encode(JSON.stringify(other)));
    const misled = await runCli(["inspect", "-", "--vmdesc", wrong, "--section", "*", "--json"], {
      stdin: [bare.slice(0, 1000), bare.slice(1000)],
    });
    expect(inspection(pipe.stdout).sections).toEqual(inspection(file.stdout).sections);
    expect(inspection(misled.stdout).sections).toEqual(inspection(file.stdout).sections);
  });

  it("has an error alone where nothing came", async () => {
    const { code, stdout } = await runCli(["inspect", "-", "--json"], { stdin: new TextEncoder().encode("no stream") });
    expect(code).toBe(1);
    expect(Object.keys(JSON.parse(stdout) as object)).toEqual(["error"]);
  });

  it("gives a section's values by the plugin, by the vmdesc, and as bytes", async () => {
    const args = ["inspect", "-", "--json", "--section", "spapr_vty", "--section", "cpu_common/0"];
    const found = inspection((await runCli([...args, "--section", "*virtio-net"], { stdin: pseries })).stdout);
    expect(found.sections.filter(({ fields }) => fields !== undefined).map(({ idstr }) => idstr)).toEqual([
      "cpu_common",
      "pci@800000020000000:01.0/virtio-net",
      "pci@800000020000000:02.0/virtio-net",
    ]);
    const fields = fieldsIn(found);
    expect(fields.get("cpu_common/0#halted")).toMatchObject({ type: "uint32", offset: 0, value: 0 });
    const net = "pci@800000020000000:01.0/virtio-net/0";
    const mac = fields.get(`${net}#device.mac`);
    expect(mac).toEqual({ path: "device.mac", value: Buffer.from("525400123459", "hex").toString("base64"), bytes: 6 });
    expect(fields.get(`${net}#virtio.virtqueues.vq[1023].used`)?.value).toBe("0");
    expect(fields.get(`${net}#transport.pci_dev.config`)?.names).toContainEqual({
      path: "command",
      value: 0,
      names: [],
    });
    const [section] = found.sections.filter(({ idstr }) => idstr.endsWith("01.0/virtio-net"));
    expect(section?.describedBy).toEqual({
      kind: "plugin",
      plugin: "@godwit/virtio-net",
      description: "virtio-net",
      version: 11,
      dialect: expect.stringMatching(/^(7\.2|10\.0)$/) as string,
    });
    const undescribed = madeStream({ sections: [{ idstr: "unheard-of", version: 3, body: Uint8Array.of(1, 2, 3) }] });
    const scanned = inspection(
      (await runCli(["inspect", "-", "--json", "--section", "*", "--footer-scan"], { stdin: undescribed })).stdout,
    );
    expect(scanned.sections).toMatchObject([
      { idstr: "unheard-of", delimitedBy: "footer-scan", describedBy: null, bodyBytes: 3 },
    ]);
    expect(scanned.sections[0]?.fields).toEqual([{ path: "data", type: "buffer", offset: 0, value: "AQID", bytes: 3 }]);
    expect(scanned.notes).toEqual([expect.stringContaining("no vmdesc") as string]);
  });

  it("chooses fields by path, in all sections or by SECTION#path, and says when nothing is matched", async () => {
    const run = async (...args: string[]) =>
      inspection((await runCli(["inspect", "-", "--json", ...args], { stdin: bare })).stdout);
    expect([...fieldsIn(await run("--path", "*irq_state", "--path", "dma/1#mask")).keys()]).toEqual([
      "0000:00:00.0/mch/0#parent_obj.irq_state",
      "dma/1#mask",
      "0000:00:1f.0/ICH9LPC/0#d.irq_state",
      "0000:00:1f.2/ich9_ahci/0#parent_obj.irq_state",
      "0000:00:1f.3/ich9_smb/0#dev.irq_state",
    ]);
    expect([...fieldsIn(await run("--section", "dma", "--path", "mask")).keys()]).toEqual(["dma/0#mask", "dma/1#mask"]);
    const none = await run("--section", "no-such");
    expect(none.notes).toEqual([expect.stringContaining('"no-such"') as string]);
    expect(none.sections.some(({ fields }) => fields !== undefined)).toBe(false);
  });

  it("says why a description was not used, and goes on with the vmdesc", async () => {
    const key = "pci@800000020000000:01.0/virtio-net/0";
    const { bodyOffset } = await sectionOf(pseries, key);
    // PCI device, MSI-X table of 4 vectors, pending bits, configuration vector; status, ISR, queue_sel, features.
    const configLength = 4 + 256 + 16 + 64 + 1 + 2 + 1 + 1 + 2 + 4;
    const wrong = patched(pseries, bodyOffset + configLength, Uint8Array.of(0, 0xff, 0xff, 0xff));
    const found = inspection(
      (await runCli(["inspect", "-", "--json", "--section", "*01.0/virtio-net"], { stdin: wrong })).stdout,
    );
    const section = found.sections.find(({ idstr, instance }) => `${idstr}/${instance}` === key);
    expect(section?.fault?.code).toMatch(/^[A-Z_]+$/);
    expect(section?.describedBy).toEqual({ kind: "vmdesc", given: false });
    expect(section?.fields?.map(({ path, type, bytes }) => [path, type, bytes])).toEqual([
      ["virtio", "virtio", section?.bodyBytes],
    ]);
    expect(found.notes).toEqual([
      expect.stringContaining(`${key}: the description that is meant for it does not fit`) as string,
    ]);
  });

  it("names the plugin that is meant for a section, and tries its description with --all", async () => {
    const by = async (...args: string[]) =>
      inspection((await runCli(["inspect", "-", "--json", ...args], { stdin: pseries })).stdout).sections.find(
        ({ idstr }) => idstr === "ics",
      )?.describedBy;
    const plugin = "@godwit/spapr-drc-ccs";
    expect(await by()).toEqual({ kind: "plugin", plugin, description: null, version: null, dialect: null });
    expect(await by("--all")).toEqual({ kind: "plugin", plugin, description: "ics", version: 1, dialect: null });
  });

  it("tells of pages that are not in the stream, of post-copy, of compression", async () => {
    const notesOf = async (path: string, ...args: string[]) =>
      inspection((await runCli(["inspect", path, "--json", ...args])).stdout).notes.join("\n");
    const notes = (raw: string, ...args: string[]) => notesOf(streamFile(raw), ...args);
    expect(await notes("tiny-multifd-10.0.main.stream")).toContain("6274 pages of RAM are not in this stream: multifd");
    expect(await notes("tiny-postcopy-7.2.stream", "--vmdesc", streamFile("tiny-precopy-7.2.stream"))).toContain(
      "post-copy",
    );
    expect(await notesOf(`${streamsFolder()}/q35-bare-7.2.stream.zst`)).toBe(
      "the file is compressed with zstd; offsets are those of the stream in it",
    );
  });
});

describe.skipIf(!haveStreams())("inspect --redact", () => {
  const net = "pci@800000020000000:01.0/virtio-net/0";
  const secrets = {
    mac: "5ec2e7abcdef",
    memory: "SECRET-IN-MEMORY",
    nvram: "SECRET-IN-NVRAM",
    register: 0x5ec2e75ec2e75ec1n,
    desc: 0x5ec2e7000n,
    file: "customer-acme.stream",
  };

  async function planted(): Promise<Uint8Array> {
    const bytes = readStream("pseries-hotplug-net-7.2.stream");
    const sections = await sectionsOf(bytes);
    const bodyOf = (key: string): number => sections.find((section) => section.key === key)?.bodyOffset as number;
    const inMemory = placeOf(bytes, new TextEncoder().encode("Memory"));
    expect(inMemory).toBeLessThan(bodyOf("timer/0"));
    let out = patched(bytes, inMemory, secrets.memory);
    out = patched(out, bodyOf("nvram@71000000/spapr_nvram/0") + 200, secrets.nvram);
    const register = new Uint8Array(8);
    new DataView(register.buffer).setBigUint64(0, secrets.register);
    out = patched(out, bodyOf("cpu/0") + 16, register);
    const mac = Uint8Array.from(Buffer.from(secrets.mac, "hex"));
    return withRecord(out, net, (record) => {
      record.device.mac = mac;
      record.config.set(mac);
      record.vqs[0].desc = secrets.desc;
    });
  }

  /** As any of our outputs would write them. */
  const forms = [
    "5ec2e7ab cdef",
    Buffer.from(secrets.mac, "hex").toString("base64"),
    secrets.memory,
    secrets.nvram,
    String(secrets.register),
    secrets.register.toString(16),
    String(secrets.desc),
    secrets.desc.toString(16),
    secrets.file,
  ];

  it("leaves out every secret, in text and in JSON, and nothing of the stream's shape", async () => {
    const path = temporaryFile(secrets.file, await planted());
    const all = [
      "inspect",
      path,
      "--all",
      ...["*/virtio-net", "cpu", "*nvram*"].flatMap((glob) => ["--section", glob]),
    ];
    const open = await runCli(all);
    const openJson = await runCli([...all, "--json"]);
    const seen = forms.filter((form) => open.stdout.includes(form) || openJson.stdout.includes(form));
    // Memory is never shown, and the text in a buffer is not what JSON calls it.
    expect(seen).toEqual(forms.filter((form) => form !== secrets.memory && form !== secrets.nvram));
    const redactedJson = await runCli([...all, "--json", "--redact"]);
    const inText = [await runCli([...all, "--redact"]), await runCli(["inspect", path, "--redact"])];
    for (const { code, stdout, stderr } of [redactedJson, ...inText]) {
      expect(code).toBe(0);
      for (const form of forms) expect(`${stdout}${stderr}`).not.toContain(form);
    }
    const redacted = inspection(redactedJson.stdout);
    const shown = inspection(openJson.stdout);
    expect(redacted.sections.map(({ fields: _, ...rest }) => rest)).toEqual(
      shown.sections.map(({ fields: _, ...rest }) => rest),
    );
    const fields = [...fieldsIn(redacted).values()];
    expect(fields).toHaveLength(fieldsIn(shown).size);
    expect(fields.filter((field) => "value" in field && "bytes" in field)).toEqual([]);
    const known = fieldsIn(redacted);
    expect(known.get(`${net}#device.mac`)).toEqual({ path: "device.mac", bytes: 6, redacted: true });
    expect(known.get(`${net}#vqs[0].desc`)).toEqual({ path: "vqs[0].desc", redacted: true });
    expect(known.get(`${net}#vqs[0].num`)?.value).toBe(256);
    expect(known.get(`${net}#vqs[0].last_avail_idx`)?.value).toBe(0);
    expect(known.get(`${net}#transport.pci_dev.config`)?.names?.map((part) => part.path)).toContain("command");
  });

  it("leaves out the machine's UUID, and what an error says was found", async () => {
    const uuid = Uint8Array.from(Buffer.from("5ec2e75ec2e74bcd8bcd5ec2e75ec2e7", "hex"));
    const path = temporaryFile(secrets.file, madeStream({ uuid }));
    const open = await runCli(["inspect", path, "--json"]);
    expect(inspection(open.stdout).uuid).toBe("5ec2e75e-c2e7-4bcd-8bcd-5ec2e75ec2e7");
    const hidden = await runCli(["inspect", path, "--json", "--redact"]);
    expect(hidden.stdout.toLowerCase()).not.toContain("5ec2e7");
    expect(inspection(hidden.stdout).uuid).toBe("redacted");
    const content = Array.from({ length: 200 }, (_, page) => ({ page, fill: 1 }));
    const long = madeStream({ uuid, blocks: [{ idstr: "pc.ram", pages: 200, content }] });
    const faulty = [long.slice(0, -1), Uint8Array.of(0x5e)];
    const fault = await runCli(["inspect", "-", "--json", "--redact"], { stdin: faulty });
    expect(fault.code).toBe(1);
    expect(inspection(fault.stdout).error?.code).toBe("SECTION_TYPE");
    expect(inspection(fault.stdout).machineType).toBe("made-1.0");
    expect(`${fault.stdout}${fault.stderr}`).not.toMatch(/0x5e|customer|5ec2e7/);
  });

  it("leaves out the stream's name where nothing of it can be read, and what a trace begins with", async () => {
    for (const bytes of [new Uint8Array(0), new TextEncoder().encode("nothing but text")]) {
      const path = temporaryFile(secrets.file, bytes);
      for (const more of [[], ["--json"], ["--debug"]]) {
        const { code, stdout, stderr } = await runCli(["inspect", path, "--redact", ...more]);
        expect(code).toBe(1);
        expect(`${stdout}${stderr}`).not.toContain("customer");
      }
    }
    const long = madeStream({ blocks: [{ idstr: "pc.ram", pages: 1, content: [{ page: 0, fill: 1 }] }] });
    const faulty = temporaryFile(secrets.file, new Uint8Array([...long.slice(0, -1), 0x5e]));
    const { code, stderr } = await runCli(["inspect", faulty, "--redact", "--debug"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/\n +at /);
    expect(stderr).not.toMatch(/0x5e|customer/);
  });

  it("numbers a checkpoint's recordings, and tells no time", () => {
    const recordings = ["customer-db", "customer-web"].map((name) => ({
      name,
      createdMs: 1.7e12,
      machine: "pc-q35-7.2",
      streamBytes: 5,
      pages: 2,
      newPages: 1,
      pageBytes: 4096,
      chunkCount: 1,
      crc: 0,
      whole: true,
      returnPath: false,
    }));
    const place = { recording: "customer-web", recordings };
    expect(checkpointOf(place, true)).toMatchObject({
      recording: "2",
      recordings: [
        { name: "1", created: null },
        { name: "2", created: null },
      ],
    });
    expect(checkpointOf(place, false)).toMatchObject({
      recording: "customer-web",
      recordings: [{ name: "customer-db", created: "2023-11-14T22:13:20.000Z" }, { name: "customer-web" }],
    });
  });

  it("shows of a section that nobody described only what a load compares", () => {
    const field = (value: unknown, type?: string) => ({ path: "x", value, ...(type !== undefined && { type }) });
    expect(mayShow(undefined, field(1, "uint8"))).toBe(false);
    expect(mayShow(undefined, field(1n, "uint64"))).toBe(false);
    expect(mayShow(undefined, field("text"))).toBe(false);
    expect(mayShow(undefined, field(true, "bool"))).toBe(true);
    expect(mayShow(undefined, field(2, "int32 le"))).toBe(true);
    expect(mayShow("./acme.js", field(2))).toBe(false);
    expect(mayShow("@godwit/virtio-net", field(2))).toBe(true);
    expect(mayShow("@godwit/virtio-net", { path: "vq[0].avail", value: 2n })).toBe(false);
    expect(mayShow("@godwit/spapr-drc-ccs", { path: "mig_table[262143]", value: 2n })).toBe(false);
    expect(mayShow("@godwit/spapr-drc-ccs", { path: "endt[3].w2", value: 2 })).toBe(false);
    expect(mayShow("@godwit/spapr-drc-ccs", { path: "tb.time_of_the_day_ns", value: 2n })).toBe(false);
    expect(mayShow("@godwit/spapr-drc-ccs", { path: "mig_nb_table", value: 2 })).toBe(true);
    expect(mayShow("@godwit/virtio-net", { path: "vq[0].last_avail_idx", value: 2 })).toBe(true);
    expect(mayShow("@godwit/virtio-net", field(new Uint8Array(2)))).toBe(false);
  });
});
