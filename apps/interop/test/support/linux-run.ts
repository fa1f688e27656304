// The Linux guest on its way through one QEMU after another, all with the same disk: what it counted, what was written.
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { absent } from "@godwit/test-support/required";
import { expect } from "vitest";
import { counts, goesOn } from "../../src/counts.ts";
import { batchBlocks, diskBytes, verifyDisk } from "../../src/disk-evidence.ts";
import { findLinuxGuest, type LinuxGuest, linuxBoot, linuxMachine } from "../../src/linux-guest.ts";
import { Qemu, type QemuInit } from "../../src/qemu.ts";

/** The guest; undefined where it cannot be had and need not be. */
export function linuxGuest(): LinuxGuest | undefined {
  const found = findLinuxGuest();
  if ("guest" in found) return found.guest;
  absent("linux", found.problem, "tests with the Linux guest");
  return undefined;
}

/** Moves the guest. `left` is called once, as soon as the source has handed over; it kills that QEMU. */
export type Middle = (source: Qemu, destination: Qemu, left: () => Promise<void>) => Promise<void>;

/** From one QEMU into the next, with nothing between. */
export const directly: Middle = async (source, destination, left) => {
  await source.qmp("migrate", { uri: `unix:${await destination.listen()}` });
  await source.migrated();
  await destination.migrated();
  await left();
};

/** Lines that the guest must add in each QEMU before it goes on: it writes, and reads what it wrote elsewhere. */
const countsBetween = 50;

/** What a guest says that is not well; the kernel's own complaints among it. */
const complaint = /BAD.*|.*(?:I\/O error|Oops|BUG|panic|Call Trace|hung).*/;

export class LinuxRun {
  readonly #folder = mkdtempSync(join(tmpdir(), "godwit-linux-run-"));
  readonly #settings: Pick<QemuInit, "capabilities" | "parameters">;
  #serial = "";
  #writes = 0;
  #qemu: Qemu | undefined;

  private constructor(settings: Pick<QemuInit, "capabilities" | "parameters">) {
    this.#settings = settings;
  }

  /** `settings`: of each QEMU's migrations. */
  static async boot(guest: LinuxGuest, settings: Pick<QemuInit, "capabilities" | "parameters">): Promise<LinuxRun> {
    const run = new LinuxRun(settings);
    try {
      const initramfs = join(run.#folder, "initramfs");
      writeFileSync(initramfs, guest.initramfs);
      const image = openSync(run.#image, "w");
      ftruncateSync(image, diskBytes);
      closeSync(image);
      run.#qemu = await run.#start({}, linuxBoot(guest.kernelPath, initramfs));
      await run.#counted(run.#qemu, 1);
      return run;
    } catch (error) {
      await run[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The number that the guest printed last. */
  get lastCount(): number {
    return counts(this.#serial + (this.#qemu?.serial ?? "")).at(-1) ?? 0;
  }

  /** One hop into a new QEMU, which it gives. The guest has run on both sides, and counted on. */
  async hop(move: Middle, init: Partial<QemuInit> = {}): Promise<Qemu> {
    const source = this.#running;
    await this.#counted(source, countsBetween);
    const destination = await this.#start({ incoming: true, ...init });
    try {
      let isLeft = false;
      await move(source, destination, async () => {
        expect(isLeft, "handed over once").toBe(false);
        isLeft = true;
        await this.#leave(source);
      });
      expect(isLeft, "the source has handed over").toBe(true);
      this.#qemu = destination;
    } finally {
      if (this.#qemu !== destination) await destination.stop();
    }
    await this.#counted(destination, countsBetween);
    expect(goesOn(this.#serial, destination.serial).gaps, "what the guest counted").toEqual([]);
    return destination;
  }

  /** Stops the machine; the whole line that it printed last, and what the disk shows. Throws what is wrong with either. */
  async finish(): Promise<{ readonly lastCount: number; readonly writes: number }> {
    const qemu = this.#running;
    // Drains what is in flight.
    await qemu.qmp("stop");
    const lastCount = this.lastCount;
    await this.#leave(qemu);
    const verdict = verifyDisk(new Uint8Array(readFileSync(this.#image)), { lastCount, writes: this.#writes });
    expect(verdict.problems).toEqual([]);
    expect(verdict.completed).toBe(lastCount * batchBlocks);
    expect(goesOn("", this.#serial)).toEqual({ from: 1, to: lastCount, gaps: [] });
    return { lastCount, writes: this.#writes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qemu?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #image(): string {
    return join(this.#folder, "disk.raw");
  }

  get #running(): Qemu {
    if (this.#qemu === undefined) throw new Error("the guest is in no QEMU");
    return this.#qemu;
  }

  #start(init: Partial<QemuInit>, more: readonly string[] = []): Promise<Qemu> {
    return Qemu.start({
      target: "x86_64",
      options: [...linuxMachine(this.#image), ...more],
      ...this.#settings,
      ...init,
    });
  }

  /** What a QEMU that the guest has left tells last; then it is killed. */
  async #leave(qemu: Qemu): Promise<void> {
    const { running, status } = await qemu.qmp<{ running: boolean; status: string }>("query-status");
    expect(running, `a QEMU that is left, ${status}`).toBe(false);
    this.#writes += await writesOf(qemu);
    this.#serial += qemu.serial;
    expect(complaint.exec(this.#serial)?.[0]).toBeUndefined();
    expect(qemu.stderr).not.toMatch(/error|fail|lock/i);
    this.#qemu = undefined;
    await qemu.stop();
  }

  /** Waits for so many whole lines more than it has now. */
  async #counted(qemu: Qemu, more: number): Promise<void> {
    const enough = counts(qemu.serial).length + more;
    await qemu.until(() => complaint.test(qemu.serial) || counts(qemu.serial).length >= enough, "counting");
    expect(complaint.exec(qemu.serial)?.[0]).toBeUndefined();
  }
}

interface BlockStatistics {
  readonly "node-name": string;
  readonly stats: { readonly wr_operations: number; readonly failed_wr_operations: number };
}

/** Write requests of the guest that this QEMU carried out. */
async function writesOf(qemu: Qemu): Promise<number> {
  const all = await qemu.qmp<BlockStatistics[]>("query-blockstats");
  const disk = all.find((each) => each["node-name"] === "disk");
  if (disk === undefined) throw new Error("QEMU has no disk");
  expect(disk.stats.failed_wr_operations).toBe(0);
  return disk.stats.wr_operations;
}
