// Streams of QEMU 10.0 made fit for QEMU 7.2 by `godwit edit --retarget`, and what that QEMU makes of them.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { haveStreams, manifest, readStream, streamsFolder } from "@godwit/test-support/streams";
import { afterAll, describe, expect, it } from "vitest";
import { machineOptions } from "../src/command-line.ts";
import { counts, goesOn } from "../src/counts.ts";
import { Qemu, type QemuTarget, qemuBinary } from "../src/qemu.ts";
import { haveQemu } from "./support/live.ts";

const program = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "godwit-retarget-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Of the destination that the planner names: `-device` and its properties. */
interface Option {
  readonly device: string;
  readonly properties: readonly { readonly name: string; readonly value: string }[];
}

interface Edited {
  readonly code: number | null;
  readonly text: string;
  readonly report: {
    readonly retarget?: { readonly options: readonly Option[]; readonly refusals: readonly object[] };
  };
  readonly stream: () => Uint8Array;
}

/** In a process of its own, on this runtime. */
function godwit(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ["--conditions=godwit:source", program, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
}

/** Runs `godwit edit` for a supplied stream. */
function edit(name: string, ...args: string[]): Edited {
  const output = join(folder, `${name}.edited`);
  const input = join(streamsFolder(), `${name}.stream.zst`);
  const { status, stdout, stderr } = godwit("edit", input, "-o", output, "--json", ...args);
  const report = stdout === "" ? {} : JSON.parse(stdout);
  return { code: status, text: stderr, report, stream: () => new Uint8Array(readFileSync(output)) };
}

const dump = (name: string): string[] => ["--retarget", join(streamsFolder(), "dump-vmstate", `${name}.json`)];
const toOlder = dump("pc-q35-7.2.qemu-7.2");

/** What a machine's devices hang on; all else is as the planner says, or not said. */
const backEnds = /^(id|netdev|drive|romfile|chardev|bus|name)=/;

/** The command line of a supplied stream on another machine type, its devices made as the planner says. */
function destination(name: string, machine: string, options: readonly Option[] = []): string[] {
  const found = manifest().find((one) => one.name === name) ?? expect.unreachable(name);
  return machineOptions(found.command_line).map((word) => {
    const [device, ...properties] = word.split(",");
    const option = options.find((one) => one.device === device);
    if (option === undefined) return word.replace(found.machine, machine);
    const said = option.properties.map((one) => `${one.name}=${one.value}`);
    return [device, ...properties.filter((one) => backEnds.test(one)), ...said].join(",");
  });
}

/** What the guest had counted when it was saved. */
function lastCount(name: string): number {
  const found = manifest().find((one) => one.name === name) as { readonly guest_count_at_migrate?: number } | undefined;
  return found?.guest_count_at_migrate ?? expect.unreachable(name);
}

/** Standard error and message of a QEMU that refuses the stream. */
async function refusal(target: QemuTarget, options: readonly string[], stream: Uint8Array): Promise<string> {
  try {
    const qemu = await Qemu.start({ target, options, stream, stopped: true });
    await qemu.stop();
  } catch (error) {
    return String(error);
  }
  return expect.unreachable("QEMU took it");
}

/** Names of virtio devices, and whether each is broken. */
async function brokenDevices(qemu: Qemu): Promise<readonly (readonly [string, boolean])[]> {
  const devices = await qemu.qmp<{ path: string; name: string }[]>("x-query-virtio");
  const found: [string, boolean][] = [];
  for (const { path, name } of devices) {
    found.push([name, (await qemu.qmp<{ broken: boolean }>("x-query-virtio-status", { path })).broken]);
  }
  return found.sort();
}

describe.skipIf(!haveStreams() || !haveQemu("x86_64"))("from QEMU 10.0 to 7.2: q35", () => {
  const older = "pc-q35-7.2";

  it("a bare machine loads when its name and one command are mended, and not before", async () => {
    const name = "q35-bare-10.0-m10.0";
    const options = destination(name, older);
    expect(await refusal("x86_64", options, readStream(`${name}.stream`))).toContain(
      "Machine type received is 'pc-q35-10.0' and local is 'pc-q35-7.2'",
    );
    const renamed = edit(name, "--rename-machine", older);
    expect(await refusal("x86_64", options, renamed.stream())).toContain("MIG_CMD 0xb unknown");
    const { code, stream } = edit(name, ...toOlder);
    expect(code).toBe(0);
    await using qemu = await Qemu.start({ target: "x86_64", options, stream: stream(), stopped: true });
    expect((await qemu.qmp<{ status: string }>("query-status")).status).toBe("prelaunch");
    expect(qemu.stderr).toBe("");
  });

  it("a Linux guest goes on counting, with the devices that the planner names", async () => {
    const name = "q35-retarget-10.0";
    const { code, report, stream } = edit(name, ...toOlder);
    expect(code).toBe(0);
    const named = report.retarget?.options ?? [];
    expect(named.map(({ device }) => device)).toEqual([
      "intel-iommu",
      "virtio-net-pci",
      "virtio-blk-pci",
      "virtio-rng-pci",
    ]);
    const bytes = stream();
    const last = lastCount(name);
    {
      const options = destination(name, older, named);
      expect(options).toContainEqual(expect.stringContaining("intel-iommu,aw-bits=48,"));
      await using qemu = await Qemu.start({ target: "x86_64", options, stream: bytes });
      await qemu.until(() => counts(qemu.serial).length >= 4, "counting");
      expect(counts(qemu.serial).at(-1)).toBeGreaterThanOrEqual(last + 4);
      expect(goesOn("", qemu.serial).gaps).toEqual([]);
      expect(qemu.stderr).not.toMatch(/inconsistent|error|fail|invalid/i);
      expect(await brokenDevices(qemu)).toEqual([
        ["virtio-blk", false],
        ["virtio-net", false],
        ["virtio-rng", false],
      ]);
    }
    // Without the one option QEMU loads it all the same, and breaks what is behind the IOMMU.
    const [iommu, ...others] = named;
    const properties = iommu?.properties.filter(({ name: property }) => property !== "aw-bits") ?? [];
    const options = destination(name, older, [{ device: "intel-iommu", properties }, ...others]);
    await using qemu = await Qemu.start({ target: "x86_64", options, stream: bytes, stopped: true });
    expect(qemu.stderr).toContain("VQ 0 size 0x8 Guest index 0x0 inconsistent");
    expect((await brokenDevices(qemu)).map(([, isBroken]) => isBroken)).toEqual([true, true, true]);
  });

  it("a balloon that 7.2 cannot have is refused before QEMU does", async () => {
    const name = "q35-vtd-virtio-10.0";
    const refused = edit(name, ...toOlder, "--force");
    expect(refused.code).toBe(1);
    const input = join(streamsFolder(), `${name}.stream.zst`);
    const { status, stderr: text } = godwit("edit", input, "--dry-run", ...toOlder);
    expect(status).toBe(1);
    expect(text).toMatch(
      /^refused: 0000:00:04\.0\/virtio-balloon\/0: PCI capabilities pointer \(0x34\): 0x98 in the stream/m,
    );
    expect(text).toContain("-device intel-iommu,aw-bits=48,");
    expect(refused.stream).toThrow("ENOENT");

    const made = edit(name, "--rename-machine", older, "--drop-command", "SWITCHOVER_START");
    expect(made.code).toBe(0);
    const without = await refusal("x86_64", destination(name, older), made.stream());
    expect(without).toContain("VQ 0 size 0x8 Guest index 0x0 inconsistent");
    const options = destination(name, older, refused.report.retarget?.options);
    const said = await refusal("x86_64", options, made.stream());
    expect(said).not.toContain("inconsistent");
    expect(said).toContain("Bad config data: i=0x34 read: 98 device: 84");
    expect(said).toContain("error while loading state for instance 0x0 of device '0000:00:04.0/virtio-balloon'");
  });
});

describe.skipIf(!haveStreams() || !haveQemu("x86_64"))("between machine types of QEMU 7.2", () => {
  const name = "q35-vtd-virtio-7.2";

  /** Of this QEMU itself. */
  function liveDump(machine: string): string[] {
    const path = join(folder, `${machine}.json`);
    const { status, stderr } = spawnSync(qemuBinary("x86_64"), [
      "-M",
      machine,
      "-display",
      "none",
      "-dump-vmstate",
      path,
    ]);
    expect(status, String(stderr)).toBe(0);
    return ["--retarget", path];
  }

  it("a Linux guest goes on in pc-q35-4.0, with the options that the planner names and not without", async () => {
    const older = "pc-q35-4.0";
    const { code, report, stream } = edit(name, ...liveDump(older));
    expect(code).toBe(0);
    const bytes = stream();
    const named = report.retarget?.options;
    expect(await refusal("x86_64", destination(name, older), bytes)).toContain(
      "Bad config data: i=0x9a read: 3 device: 2",
    );
    await using qemu = await Qemu.start({ target: "x86_64", options: destination(name, older, named), stream: bytes });
    await qemu.until(() => counts(qemu.serial).length >= 3, "counting");
    expect(counts(qemu.serial).at(-1)).toBeGreaterThanOrEqual(lastCount(name) + 3);
    expect(qemu.stderr).not.toMatch(/inconsistent|error|fail|invalid/i);
    expect((await brokenDevices(qemu)).map(([, isBroken]) => isBroken)).toEqual(new Array(6).fill(false));
  });

  it("pc-q35-3.1 does not read a section that 4.0 does", async () => {
    const older = "pc-q35-3.1";
    const bare = "q35-bare-7.2";
    const refused = edit(bare, ...liveDump(older));
    expect(refused.code).toBe(1);
    expect(refused.report.retarget?.refusals).toMatchObject([
      { section: "0000:00:1f.3/ich9_smb/0", found: "has the field irq_enabled" },
    ]);
    const renamed = edit(bare, "--rename-machine", older);
    expect(await refusal("x86_64", destination(bare, older), renamed.stream())).toContain(
      "Missing section footer for 0000:00:1f.3/ich9_smb",
    );
  });

  it.each([
    ["pc-i440fx-3.1", "smb.smb_stat"],
    ["pc-i440fx-6.2", "acpi_pci_hotplug.acpi_index"],
  ])("%s does not read %s", async (older, field) => {
    const bare = "i440fx-bare-10.0-m7.2";
    const refused = edit(bare, ...liveDump(older));
    expect(refused.code).toBe(1);
    const found = expect.objectContaining({ section: "0000:00:01.3/piix4_pm/0", found: `has the field ${field}` });
    expect(refused.report.retarget?.refusals).toContainEqual(found);
    const renamed = edit(bare, "--rename-machine", older);
    expect(await refusal("x86_64", destination(bare, older), renamed.stream())).toMatch(/piix4_pm/);
  });
});

describe.skipIf(!haveStreams() || !haveQemu("s390x"))("from QEMU 10.0 to 7.2: s390x", () => {
  it("a subsection that 7.2 does not know is lost by force alone, and then it loads", async () => {
    const name = "s390-ccw-5dev-10.0";
    const toOlderCcw = dump("s390-ccw-virtio-7.2.qemu-7.2");
    const options = destination(name, "s390-ccw-virtio-7.2");
    const renamed = edit(name, "--rename-machine", "s390-ccw-virtio-7.2", "--drop-command", "SWITCHOVER_START");
    expect(await refusal("s390x", options, renamed.stream())).toContain(
      "error while loading state for instance 0x0 of device 'qemu-s390-flic'",
    );
    const refused = edit(name, ...toOlderCcw);
    expect(refused.code).toBe(1);
    expect(refused.text).toContain("10 values would be lost");
    const forced = edit(name, ...toOlderCcw, "--force");
    expect(forced.code).toBe(0);
    await using qemu = await Qemu.start({ target: "s390x", options, stream: forced.stream(), stopped: true });
    expect(qemu.stderr).not.toMatch(/inconsistent|error|fail/i);
    expect((await brokenDevices(qemu)).filter(([, isBroken]) => isBroken)).toEqual([]);
  });
});
