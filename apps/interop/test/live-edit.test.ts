// A stream that the real command line has edited, in real QEMU: what was changed is seen there, and the guest goes on.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { machineOptions } from "../src/command-line.ts";
import { counts, goesOn } from "../src/counts.ts";
import { seenByQemu, virtioPaths } from "../src/monitor.ts";
import { Qemu } from "../src/qemu.ts";
import { haveQemu } from "./support/live.ts";

const cli = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const target = "x86_64";

/** What `godwit edit` makes of a supplied stream. */
function edited(name: string, args: readonly string[]): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "godwit-live-edit-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "in"), readStream(`${name}.stream`));
  const words = ["--conditions=godwit:source", cli, "edit", "in", "-o", "out", ...args];
  const { status, stderr } = spawnSync(process.execPath, words, { cwd: folder, encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
  return new Uint8Array(readFileSync(join(folder, "out")));
}

const caseOf = (name: string) => manifest().find((one) => one.name === name) ?? expect.unreachable(name);

/** The last number that the guest had printed when it was saved. */
const countAt = (name: string): number =>
  (caseOf(name) as { guest_count_at_migrate?: number }).guest_count_at_migrate ?? expect.unreachable(name);

/** The machine that the stream was saved on, as another type. */
function optionsAs(name: string, machine: string): string[] {
  return machineOptions(caseOf(name).command_line).map((word) => word.replace(/^pc-q35-[0-9.]+/, machine));
}

async function goesOnFrom(qemu: Qemu, last: number): Promise<void> {
  await qemu.qmp("cont");
  await qemu.until(() => counts(qemu.serial).length >= 2, "counting");
  const { from, gaps } = goesOn("", qemu.serial);
  expect(gaps).toEqual([]);
  expect(from).toBeGreaterThanOrEqual(last);
  expect(last).toBeGreaterThan(0);
  expect(qemu.stderr).not.toMatch(/inconsistent|error|fail/i);
}

describe.skipIf(!haveStreams() || !haveQemu(target))("edited streams in QEMU", () => {
  const tiny = "tiny-precopy-7.2";
  const linux = "q35-vtd-virtio-7.2";

  it("another machine type, a field by the vmdesc, and a section less", async () => {
    const stream = edited(tiny, [
      ...["--rename-machine", "pc-q35-7.1", "--set", "serial#state.scr=0x5a"],
      // QEMU does not miss a section that does not come.
      ...["--drop", "vmmouse"],
    ]);
    const qemu = await Qemu.start({ target, options: optionsAs(tiny, "pc-q35-7.1"), stream, stopped: true });
    try {
      // The scratch register of the serial line, as the guest would read it.
      expect(await qemu.monitor("i /1xb 0x3ff")).toMatch(/0x5a/);
      await goesOnFrom(qemu, countAt(tiny));
    } finally {
      await qemu.stop();
    }
  });

  it("what was not edited, that machine does not take", async () => {
    const stream = readStream(`${tiny}.stream`);
    const options = optionsAs(tiny, "pc-q35-7.1");
    const qemu = await Qemu.start({ target, options, incoming: true, stopped: true });
    try {
      await expect(qemu.load(stream)).rejects.toThrow();
      // A process may be known to have ended before its last words have come.
      await vi.waitFor(() => expect(qemu.stderr).toMatch(/Machine type received is 'pc-q35-7\.2'/), 10_000);
    } finally {
      await qemu.stop();
    }
  });

  it("a field by our description, in a virtio device behind VT-d", async () => {
    const stream = edited(linux, ["--set", "0000:00:02.0/virtio-blk#queue_sel=5"]);
    const qemu = await Qemu.start({ target, options: optionsAs(linux, "pc-q35-7.2"), stream, stopped: true });
    try {
      const path = (await virtioPaths(qemu)).get("virtio-blk") ?? expect.unreachable("the disk");
      const seen = await seenByQemu(qemu, path, 1);
      expect([seen.queueSelect, seen.broken, seen.started]).toEqual([5, false, true]);
      await goesOnFrom(qemu, countAt(linux));
    } finally {
      await qemu.stop();
    }
  });
});
