// `godwit record` as the destination of a live QEMU, and `godwit replay` as the source of one that waits: the guest goes on.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { machineOptions } from "../src/command-line.ts";
import { counts, goesOn } from "../src/counts.ts";
import { Qemu } from "../src/qemu.ts";
import { haveQemu } from "./support/live.ts";
import { guestPages, tinyOptions, tinyStream } from "./support/tiny.ts";

const target = "x86_64";
const program = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line in a process of its own. */
class Godwit {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = "";
  #stderr = "";

  constructor(...args: readonly string[]) {
    this.process = spawn(process.execPath, ["--conditions=godwit:source", program, ...args]);
    this.process.stdout?.on("data", (chunk) => {
      this.#stdout += String(chunk);
    });
    this.process.stderr?.on("data", (chunk) => {
      this.#stderr += String(chunk);
    });
    this.ended = new Promise((resolve) => {
      this.process.on("close", (code) => resolve({ code, stdout: this.#stdout, stderr: this.#stderr }));
    });
  }

  /** The address that it listens on, as it says it. */
  async address(qemu: Qemu): Promise<string> {
    const said = () => /^listening on (.*)$/m.exec(this.#stderr)?.[1];
    await qemu.until(() => said() !== undefined, "a listening godwit");
    return said() as string;
  }
}

interface Recorded {
  readonly name: string;
  readonly pages: number;
  readonly newPages: number;
  readonly fileBytes: number;
}

/** Several machines start in one test, one after the other. */
const timeout = 120_000;

describe.skipIf(!haveStreams() || !haveQemu(target))("a live QEMU", { timeout }, () => {
  let folder = "";
  let store = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "godwit-record-"));
    store = join(folder, "vm.checkpoint");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const uri = (scheme: "tcp" | "unix"): string => (scheme === "tcp" ? "tcp:127.0.0.1:0" : `unix:${folder}/socket`);

  /** Takes the machine of `qemu`, which stands still afterwards. */
  async function record(qemu: Qemu, scheme: "tcp" | "unix"): Promise<Recorded> {
    const godwit = new Godwit("record", uri(scheme), "-o", store, "--json");
    await qemu.qmp("migrate", { uri: await godwit.address(qemu) });
    const { code, stdout, stderr } = await godwit.ended;
    expect(code, stderr).toBe(0);
    await qemu.migrated();
    const { recording, fileBytes, answered, lost } = JSON.parse(stdout);
    expect({ whole: recording.whole, answered, lost }).toEqual({ whole: true, answered: true, lost: null });
    expect(fileBytes).toBe(statSync(store).size);
    return { ...recording, fileBytes };
  }

  /** A QEMU that has taken recording `number`, and whose guest goes on behind what it printed before. */
  async function expectGoesOn(
    options: readonly string[],
    number: number,
    serial: string,
    init: { capabilities?: string[] } = {},
  ) {
    await using qemu = await Qemu.start({ target, options, incoming: true, ...init });
    const args = ["replay", store, `unix:${await qemu.listen()}`, "--recording", String(number), "--json"];
    const { code, stdout, stderr } = await new Godwit(...args).ended;
    expect(code, stderr).toBe(0);
    await qemu.migrated();
    await qemu.qmp("cont");
    await qemu.until(() => counts(qemu.serial).length >= 2, "counting");
    const { gaps, to } = goesOn(serial, qemu.serial);
    expect(gaps).toEqual([]);
    expect(to).toBeGreaterThan((counts(serial).at(-1) as number) + 1);
    expect(qemu.stderr).not.toMatch(/inconsistent|error|fail/i);
    return JSON.parse(stdout) as { readonly confirmed: boolean };
  }

  const counting = (qemu: Qemu, more = 2): Promise<void> => {
    const before = counts(qemu.serial).length;
    return qemu.until(() => counts(qemu.serial).length >= before + more, "counting");
  };

  it("is recorded over tcp and unix, each time by its changed pages; its guest goes on from each", async () => {
    const options = tinyOptions();
    await using qemu = await Qemu.start({ target, options, stream: tinyStream() });
    await counting(qemu);
    // It would write to its pages while they are sent, and they would be sent again.
    await qemu.qmp("stop");
    const first = await record(qemu, "tcp");
    const serial = qemu.serial;
    // Each pass writes to each of the guest's pages.
    await qemu.qmp("cont");
    await counting(qemu);
    await qemu.qmp("stop");
    const second = await record(qemu, "unix");
    expect(first.newPages).toBeGreaterThan(guestPages);
    expect(first.pages - first.newPages).toBeLessThan(64);
    expect(second.newPages).toBeGreaterThanOrEqual(guestPages);
    expect(second.newPages).toBeLessThan(guestPages + 64);
    const all = qemu.serial;
    await qemu.stop();
    for (const [number, printed] of [
      [1, serial],
      [2, all],
    ] as const) {
      expect(await expectGoesOn(options, number, printed)).toMatchObject({ confirmed: false });
    }
  });

  it("that stands still brings no new page", async () => {
    const options = tinyOptions();
    await using qemu = await Qemu.start({ target, options, stream: tinyStream(), stopped: true });
    const first = await record(qemu, "unix");
    await qemu.stop();
    await using copy = await Qemu.start({ target, options, incoming: true, stopped: true });
    const replay = new Godwit("replay", store, `unix:${await copy.listen()}`);
    expect((await replay.ended).code).toBe(0);
    await copy.migrated();
    const second = await record(copy, "tcp");
    expect(first.newPages).toBeGreaterThan(guestPages);
    expect(second).toMatchObject({ pages: first.pages, newPages: 0 });
    expect(second.fileBytes - first.fileBytes).toBeLessThan(60_000);
  });

  it("with Linux and a return path is told that it was taken, and its destination says so", async () => {
    const name = "q35-vtd-virtio-7.2";
    const options = machineOptions(manifest().find((one) => one.name === name)?.command_line ?? "");
    const capabilities = ["return-path"];
    await using qemu = await Qemu.start({ target, options, stream: readStream(`${name}.stream`), capabilities });
    await counting(qemu);
    const first = await record(qemu, "unix");
    await qemu.qmp("cont");
    await counting(qemu);
    const second = await record(qemu, "tcp");
    const { serial } = qemu;
    await qemu.stop();
    expect(first.pages).toBeGreaterThan(10_000);
    expect(second.pages).toBeGreaterThan(10_000);
    expect(second.newPages).toBeGreaterThan(0);
    expect(second.newPages).toBeLessThan(first.newPages / 10);
    expect(second.fileBytes - first.fileBytes).toBeLessThan(first.fileBytes / 10);
    expect(await expectGoesOn(options, 2, serial, { capabilities })).toMatchObject({ confirmed: true });
    // Another machine: it says no, or breaks off.
    const wrong = options.map((word, i) => (options[i - 1] === "-m" ? "64" : word));
    expect(wrong).not.toEqual(options);
    await using other = await Qemu.start({ target, options: wrong, incoming: true, capabilities });
    const { code, stderr } = await new Godwit("replay", store, `unix:${await other.listen()}`).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/the destination (broke off|did not load)/);
  });

  it.each(["tcp", "unix"] as const)("that cancels over %s is not recorded, and goes on", async (scheme) => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    const godwit = await halfway(qemu, scheme);
    await qemu.qmp("migrate_cancel");
    const { code, stderr } = await godwit.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/nothing was recorded/);
    expect(readdirSync(folder)).toEqual([]);
    await counting(qemu);
  });

  it("whose recording is killed goes on, and nothing that looks whole is left", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    const before = await halfway(qemu, "unix");
    before.process.kill("SIGKILL");
    await before.ended;
    expect(existsSync(store)).toBe(false);
    await counting(qemu);
    await qemu.allow([], { "max-bandwidth": 1 << 30 });
    await record(qemu, "unix");
    expect(readdirSync(folder)).toEqual(["vm.checkpoint"]);
    const whole = readFileSync(store);
    await qemu.qmp("cont");
    const godwit = await halfway(qemu, "tcp");
    godwit.process.kill("SIGKILL");
    await godwit.ended;
    const [name = ""] = readdirSync(folder).filter((one) => one !== "vm.checkpoint");
    expect(name).toMatch(new RegExp(`^vm\\.checkpoint\\.recording-${godwit.process.pid}-`));
    const leftover = `${folder}/${name}`;
    expect(Buffer.compare(readFileSync(store), whole)).toBe(0);
    expect(statSync(leftover).size).toBeGreaterThan(100_000);
    const { code, stderr } = await new Godwit("replay", leftover, `unix:${folder}/nobody`).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/CHECKPOINT_TRUNCATED/);
    await counting(qemu);
    await qemu.allow([], { "max-bandwidth": 1 << 30 });
    expect(await record(qemu, "unix")).toMatchObject({ name: "2" });
    expect(readdirSync(folder)).toEqual(["vm.checkpoint"]);
  });

  it("that sends by several channels is refused", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow(["multifd"]);
    const godwit = new Godwit("record", uri("tcp"), "-o", store);
    await qemu.qmp("migrate", { uri: await godwit.address(qemu) });
    const { code, stderr } = await godwit.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/RECORD_CHANNELS/);
    expect(readdirSync(folder)).toEqual([]);
    await counting(qemu);
  });

  /** A recording that has come to the guest's pages, and has seconds to go. */
  async function halfway(qemu: Qemu, scheme: "tcp" | "unix"): Promise<Godwit> {
    await qemu.allow([], { "max-bandwidth": 2 << 20 });
    const godwit = new Godwit("record", uri(scheme), "-o", store);
    await qemu.qmp("migrate", { uri: await godwit.address(qemu) });
    await qemu.until(async () => {
      const { ram } = await qemu.qmp<{ ram?: { transferred: number } }>("query-migrate");
      return (ram?.transferred ?? 0) > 3 << 20;
    }, "a few megabytes");
    return godwit;
  }
});
