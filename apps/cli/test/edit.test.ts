// What edits make of real streams: the bytes that were meant, and no others; and a vmdesc that fits.
import { findVmdesc, vmdescText } from "@godwit/core/stream";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { expectVmdescToTile, ramOf, same, sectionOf, vmdescTextOf, workshop } from "./edit-support.ts";

const bare = "q35-bare-7.2.stream";
const bareNew = "q35-bare-10.0-m10.0.stream";
const linux = "q35-retarget-10.0.stream";
const hotplug = "pseries-hotplug-net-cpu-dimm-7.2.stream";
const postcopy = "tiny-postcopy-7.2.stream";
const mapped = "tiny-mappedram-10.0.stream";
const tiny = "tiny-precopy-7.2.stream";

const be32 = (value: number): Uint8Array => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** `bytes` with others from `from` to `to`. */
const replaced = (bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array =>
  joined(bytes.subarray(0, from), by, bytes.subarray(to));

/** `bytes` with another text in the vmdesc's record at the end. */
function withVmdesc(bytes: Uint8Array, change: (text: string) => string): Uint8Array {
  const { at } = findVmdesc(bytes) ?? expect.unreachable();
  const text = bytesOf(change(vmdescTextOf(bytes)));
  return joined(bytes.subarray(0, at + 1), be32(text.length), text);
}

describe.skipIf(!haveStreams())("the machine's name", () => {
  it.each(["q", "pc-q35-7.2-of-another-kind"])("becomes %s; all else stays", async (name) => {
    const { put, edit, get } = workshop();
    put(bare);
    const run = await edit([bare, "-o", "out", "--rename-machine", name, "--json"]);
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({
      stream: bare,
      output: "out",
      bytes: get("out").length,
      edits: [{ kind: "machine", before: "pc-q35-7.2", after: name, offset: 13 }],
      notes: [],
    });
    const old = readStream(bare);
    expect(same(get("out"), replaced(old, 9, 9 + 4 + 10, joined(be32(name.length), bytesOf(name))))).toBe(true);
  });

  it("is as long in the vmdesc as it is, where QEMU lists the configuration", async () => {
    const { put, edit, get, part } = workshop();
    put(bareNew);
    expect((await edit([bareNew, "-o", "out", "--rename-machine", "pc-q35-7.2"])).code).toBe(0);
    const renamed = replaced(readStream(bareNew), 9, 9 + 4 + 11, joined(be32(10), bytesOf("pc-q35-7.2")));
    const name = (bytes: number) => `{"name": "name", "type": "buffer", "size": ${bytes}}`;
    expect(vmdescTextOf(renamed)).toContain(name(11));
    expect(
      same(
        get("out"),
        withVmdesc(renamed, (text) => text.replace(name(11), name(10))),
      ),
    ).toBe(true);
    expectVmdescToTile(await part("out"));
  });

  it("changes in place, where the output is the input", async () => {
    const { put, edit, get, files } = workshop();
    put(bare);
    const old = get(bare);
    expect((await edit([bare, "-o", bare, "--rename-machine", "x"])).code).toBe(0);
    expect(get(bare).length).toBe(old.length - 9);
    expect((await edit([bare, "-o", bare, "--rename-machine", "pc-q35-7.2"])).code).toBe(0);
    expect(same(get(bare), old)).toBe(true);
    expect(files()).toEqual([bare]);
  });
});

describe.skipIf(!haveStreams())("mapped-ram", () => {
  it.each([
    ["longer", `pc-q35-10.0${"-and-more".repeat(40)}`],
    ["shorter", "pc"],
  ])("a %s name: the pages stay at their places in the file", async (_, name) => {
    const { put, edit, get, part } = workshop();
    put(mapped);
    const before = (await part(mapped)).mapped ?? expect.unreachable();
    expect((await edit([mapped, "-o", "out", "--rename-machine", name])).code).toBe(0);
    const growth = name.length - "pc-q35-10.0".length;
    const edited = await part("out");
    expect(edited.configuration?.machineType).toBe(name);
    expect(edited.mapped).toEqual({ ...before, bitmapOffset: before.bitmapOffset + growth });
    const old = readStream(mapped);
    const now = get("out");
    expect(now.length - (edited.vmdescPlace?.bytes ?? 0)).toBe(
      old.length - ((await part(mapped)).vmdescPlace?.bytes ?? 0),
    );
    const bitmapBytes = before.blockBytes / before.pageBytes / 8;
    const bitmap = (bytes: Uint8Array, at: number): Uint8Array => bytes.subarray(at, at + bitmapBytes);
    expect(same(bitmap(now, edited.mapped?.bitmapOffset ?? 0), bitmap(old, before.bitmapOffset))).toBe(true);
    const end = edited.vmdescPlace?.offset ?? 0;
    expect(same(now.subarray(before.pagesOffset, end), old.subarray(before.pagesOffset, end))).toBe(true);
  });
});

describe.skipIf(!haveStreams())("leaving out", () => {
  it("a command, by name or by number", async () => {
    const { put, edit, get, part } = workshop();
    put(bareNew);
    const { commands } = await part(bareNew);
    expect(commands.map(({ command }) => command)).toContain(11);
    const { offset } = commands.find(({ command }) => command === 11) ?? expect.unreachable();
    for (const named of ["SWITCHOVER_START", "11", "0xb"]) {
      expect((await edit([bareNew, "-o", "out", "--drop-command", named])).code).toBe(0);
      expect(same(get("out"), replaced(readStream(bareNew), offset, offset + 5, new Uint8Array(0)))).toBe(true);
    }
  });

  it("a section, and its place in the vmdesc", async () => {
    const { put, edit, get, part } = workshop();
    put(tiny);
    const old = await part(tiny);
    const gone = sectionOf(old, "vmmouse/0");
    const run = await edit([tiny, "-o", "out", "--drop", "vmmouse", "--json"]);
    expect(JSON.parse(run.stdout).edits).toEqual([
      {
        kind: "drop-section",
        section: "vmmouse/0",
        before: Buffer.from(gone.body).toString("base64"),
        offset: gone.offset,
      },
    ]);
    const edited = await part("out");
    expectVmdescToTile(edited);
    expect(edited.sections.map(({ key }) => key)).toEqual(
      old.sections.map(({ key }) => key).filter((key) => key !== "vmmouse/0"),
    );
    const stream = readStream(tiny);
    const without = replaced(stream, gone.offset, gone.offset + gone.bytes, new Uint8Array(0));
    const text = (of: string): string => {
      const { devices, ...vmdesc } = JSON.parse(of);
      return vmdescText({ ...vmdesc, devices: devices.filter(({ name }: { name: string }) => name !== "vmmouse") });
    };
    // The order of the vmdesc's members is QEMU's; only the devices' list is shorter.
    expect(JSON.parse(vmdescTextOf(get("out")))).toEqual(JSON.parse(text(vmdescTextOf(stream))));
    expect(
      same(
        get("out"),
        withVmdesc(without, () => vmdescTextOf(get("out"))),
      ),
    ).toBe(true);
    expect(same(ramOf(get("out"), edited), ramOf(stream, old))).toBe(true);
  });

  it("an iterable section, in all of its parts", async () => {
    const { put, edit, part } = workshop();
    put(hotplug);
    const phases = (await part(hotplug)).sections.filter(({ key }) => key === "spapr/htab/0").map(({ phase }) => phase);
    expect(new Set(phases)).toEqual(new Set(["start", "part", "end"]));
    expect((await edit([hotplug, "-o", "out", "--drop", "spapr/htab"])).code).toBe(0);
    expect((await part("out")).sections.some(({ key }) => key === "spapr/htab/0")).toBe(false);
  });

  it.each([
    ["of the section's own", "cpu/0", "cpu/poll_control_msr"],
    ["inside a struct", "0000:00:1f.0/ICH9LPC/0", "ich9_pm/tco"],
    ["by its path", "0000:00:1f.0/ICH9LPC/0", "pm.ich9_pm/pcihp"],
    ["with others behind it", "fw_cfg/0", "fw_cfg/dma"],
  ])("a subsection %s, as the vmdesc lists it", async (_, key, subsection) => {
    const { put, edit, get, part } = workshop();
    put(bare);
    const run = await edit([bare, "-o", "out", "--drop", `${key}#${subsection}`, "--json"]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    const [{ before, path }] = JSON.parse(run.stdout).edits;
    const bytes = new Uint8Array(Buffer.from(before, "base64"));
    const name = path.split(".").at(-1);
    expect([...bytes.subarray(0, 2 + name.length)]).toEqual([0x05, name.length, ...bytesOf(name)]);
    const [old, now] = [sectionOf(await part(bare), key), sectionOf(await part("out"), key)];
    const at = Buffer.from(old.body).indexOf(bytes);
    expect(same(now.body, replaced(old.body, at, at + bytes.length, new Uint8Array(0)))).toBe(true);
    expectVmdescToTile(await part("out"));
    expect(vmdescTextOf(get("out"))).not.toContain(`"vmsd_name": "${name}"`);
    expect(vmdescTextOf(get(bare))).toContain(`"vmsd_name": "${name}"`);
  });

  it("a section inside a package of post-copy: the package says its new size", async () => {
    const { put, edit, get, part } = workshop();
    put(postcopy);
    put(tiny);
    const given = ["--vmdesc", tiny];
    const size = (bytes: Uint8Array): number => {
      const at = Buffer.from(bytes).indexOf(new Uint8Array([8, 0, 7, 0, 4]));
      return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 5);
    };
    const run = await edit([postcopy, "-o", "out", "--drop", "vmmouse", ...given, "--json"]);
    expect(run.code).toBe(0);
    const goneBytes = get(postcopy).length - get("out").length;
    expect(goneBytes).toBeGreaterThan(4000);
    expect(size(get("out"))).toBe(size(get(postcopy)) - goneBytes);
    const { vmdesc } = await part(tiny);
    const sections = (await part("out", { givenVmdesc: vmdesc })).sections.map(({ key }) => key);
    expect(sections).toContain("globalstate/0");
    expect(sections).not.toContain("vmmouse/0");
    expect(findVmdesc(get("out"))).toBeUndefined();
  });
});

describe.skipIf(!haveStreams())("subsections of described sections", () => {
  it.each([
    ["pseries-hotplug-net-7.2.stream", "spapr/0", "spapr_pending_events"],
    [hotplug, "spapr/0", "spapr/cap/ibs"],
    [linux, "0000:00:01.0/virtio-net/0", "virtio/started"],
  ])("%s, %s: %s is left out, and put back", async (stream, key, subsection) => {
    const { put, edit, get, part } = workshop();
    put(stream);
    const dropped = await edit([stream, "-o", "without", "--drop", `${key}#${subsection}`, "--json"]);
    expect([dropped.code, dropped.stderr]).toEqual([0, ""]);
    const [{ before, by }] = JSON.parse(dropped.stdout).edits;
    expect(by).toBe("description");
    const [old, now] = [await part(stream), await part("without")];
    expectVmdescToTile(now);
    expect(sectionOf(now, key).bodyBytes).toBeLessThan(sectionOf(old, key).bodyBytes - subsection.length);
    expect(Buffer.from(sectionOf(now, key).body).includes(subsection)).toBe(false);
    put("values.json", JSON.stringify(before));
    const added = await edit(["without", "-o", "again", "--add-subsection", `${key}#${subsection}=@values.json`]);
    expect([added.code, added.stderr]).toEqual([0, ""]);
    expect(same(get("again"), get(stream))).toBe(true);
  });

  it("what the vmdesc says of other devices keeps its bytes, keys that QEMU repeats too", async () => {
    const { put, edit, get } = workshop();
    put(hotplug);
    const text = vmdescTextOf(get(hotplug));
    expect(vmdescText(JSON.parse(text))).not.toBe(text);
    expect((await edit([hotplug, "-o", "out", "--drop", "cpu/1#cpu/slb"])).code).toBe(0);
    const spapr = (of: string): string =>
      of.slice(of.indexOf('{"name": "spapr",'), of.indexOf('{"name": "cpu", "instance_id": 1'));
    expect(spapr(text).length).toBeGreaterThan(1000);
    expect(spapr(vmdescTextOf(get("out")))).toBe(spapr(text));
    expect(vmdescTextOf(get("out")).length).toBeLessThan(text.length);
  });
});

describe.skipIf(!haveStreams())("setting", () => {
  it("a field of a described section changes its bytes alone", async () => {
    const { put, edit, get, part } = workshop();
    put(hotplug);
    const key = "pci@800000020000000:01.0/virtio-net/0";
    const run = await edit([hotplug, "-o", "out", "--set", `${key}#queue_sel=0x5`, "--json"]);
    const [{ offset, ...done }] = JSON.parse(run.stdout).edits;
    expect(done).toEqual({ kind: "set", section: key, path: "queue_sel", before: 1, after: 5, by: "description" });
    expect(same(get("out"), replaced(readStream(hotplug), offset, offset + 1, new Uint8Array([5])))).toBe(true);
    expect(sectionOf(await part("out"), key).offset).toBeLessThan(offset);
  });

  it("counts and what they count, in one command", async () => {
    const { put, edit, part, get } = workshop();
    put(hotplug);
    const key = "pci@800000020000000:01.0/virtio-net/0";
    const macs = Buffer.from([...Array(24).keys()]).toString("base64");
    const sets = [`${key}#device.mac_table_in_use=4`, `${key}#device.mac_table_macs=base64:${macs}`];
    const alone = await edit([hotplug, "-o", "out", "--set", sets[0] as string]);
    expect([alone.code, alone.stdout]).toEqual([1, ""]);
    expect(alone.stderr).toMatch(/section pci@800000020000000:01\.0\/virtio-net\/0, field device\./);
    const run = await edit([hotplug, "-o", "out", ...sets.flatMap((one) => ["--set", one])]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expectVmdescToTile(await part("out"));
    expect(get("out").length).toBeGreaterThan(get(hotplug).length);
    expect(Buffer.from(sectionOf(await part("out"), key).body).includes(Buffer.from(macs, "base64"))).toBe(true);
  });

  it.each([
    ["a 64-bit integer", "timer", "cpu_ticks_offset", "0x7fffffffffffff01", [0x7f, 255, 255, 255, 255, 255, 255, 1]],
    ["a negative one", "timer", "cpu_clock_offset", "-2", [255, 255, 255, 255, 255, 255, 255, 254]],
    ["one byte", "port92", "outport", "254", [254]],
    ["a boolean's byte", "hpet", "timer[0].cmp", "1", [0, 0, 0, 0, 0, 0, 0, 1]],
    ["raw bytes", "globalstate", "runstate", `hex:${"41".repeat(100)}`, Array(100).fill(0x41)],
    ["an element of an array", "cpu", "env.regs[2]", "3", [0, 0, 0, 0, 0, 0, 0, 3]],
    ["a timer's deadline", "hpet", "timer[1].qemu_timer", "513", [0, 0, 0, 0, 0, 0, 2, 1]],
  ])("%s by the vmdesc", async (_, section, path, value, bytes) => {
    const { put, edit, get } = workshop();
    put(bare);
    const run = await edit([bare, "-o", "out", "--set", `${section}#${path}=${value}`, "--json"]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    const [{ by }] = JSON.parse(run.stdout).edits;
    expect(by).toBe("vmdesc");
    const [old, now] = [get(bare), get("out")];
    expect(now.length).toBe(old.length);
    const differing = [...now.keys()].filter((i) => now[i] !== old[i]);
    expect(differing.length).toBeGreaterThan(0);
    // Where the first difference is, or before it, the new bytes stand; nothing else differs.
    const at = [...Array(bytes.length).keys()]
      .map((back) => (differing[0] as number) - back)
      .find((from) => same(now.subarray(from, from + bytes.length), new Uint8Array(bytes)));
    const from = at ?? expect.unreachable("the new bytes");
    expect(differing.every((i) => i >= from && i < from + bytes.length)).toBe(true);
  });
});
