// Ownership records as files: on a real disk, and on one whose power is cut at every step.

import * as fs from "node:fs/promises";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OwnershipLog, OwnershipRecord } from "@godwit/migration";
import { fileOwnershipLog } from "@godwit/migration/ownership-file";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CuttableFiles, isCut } from "./files.ts";

const machine = "00112233445566778899aabbccddeeff";
const owned: OwnershipRecord = { machine, epoch: 1, state: "owned" };
const offered: OwnershipRecord = { ...owned, offered: true };
const released: OwnershipRecord = { machine, epoch: 1, state: "released", peer: 'tcp:[::1]:4444 → "ö"' };

describe("a log in a folder", () => {
  let folder = "";
  let log: OwnershipLog;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "godwit-ownership-"));
    log = fileOwnershipLog({ fs, folder });
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("gives back what was written last, to another process, too", async () => {
    expect(await log.read(machine)).toBeUndefined();
    await log.write(owned, undefined);
    await log.write(offered, owned);
    await log.write(released, offered);
    expect(await fileOwnershipLog({ fs, folder }).read(machine)).toEqual(released);
    expect(await log.read("f".repeat(32))).toBeUndefined();
    expect(await readdir(folder)).toEqual([`${machine}.3.json`]);
  });

  it("lets only one of two have its way", async () => {
    await log.write(owned, undefined);
    const others = Array.from({ length: 8 }, (_, i) => ({ ...released, peer: String(i) }));
    const ends = await Promise.allSettled(
      others.map((record) => fileOwnershipLog({ fs, folder }).write(record, owned)),
    );
    const done = ends.flatMap(({ status }, i) => (status === "fulfilled" ? [i] : []));
    expect(done.length).toBe(1);
    for (const end of ends) {
      if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "OWNERSHIP_CONFLICT" });
    }
    expect(await log.read(machine)).toEqual(others[done[0] as number]);
    expect((await readdir(folder)).length).toBe(1);
  });

  it("refuses a writer so slow that its place came and went", async () => {
    await log.write(owned, undefined);
    let isAway: () => void = () => {};
    const away = new Promise<void>((resolve) => {
      isAway = resolve;
    });
    let comeBack: () => void = () => {};
    const back = new Promise<void>((resolve) => {
      comeBack = resolve;
    });
    const slow = {
      ...fs,
      link: async (existing: string, added: string) => {
        isAway();
        await back;
        return fs.link(existing, added);
      },
    };
    const writing = fileOwnershipLog({ fs: slow, folder }).write(released, owned);
    writing.catch(() => {});
    await away;
    await log.write(offered, owned);
    const later: OwnershipRecord = { machine, epoch: 3, state: "owned" };
    await log.write(later, offered);
    comeBack();
    await expect(writing).rejects.toMatchObject({ code: "OWNERSHIP_CONFLICT", found: "owned 3" });
    expect(await log.read(machine)).toEqual(later);
  });

  /** A process that is killed before what it has written gets its name. */
  async function killedWriter(next: OwnershipRecord, previous: OwnershipRecord | undefined): Promise<void> {
    const killed = () => Promise.reject(new Error("killed"));
    const dying = fileOwnershipLog({ fs: { ...fs, link: killed, rm: killed }, folder });
    await expect(dying.write(next, previous)).rejects.toThrow("killed");
  }

  it("clears away what a killed process was writing with the next record, and no other machine's", async () => {
    const other = "f".repeat(32);
    await killedWriter(owned, undefined);
    await killedWriter({ ...owned, machine: other }, undefined);
    expect(await log.read(machine)).toBeUndefined();
    expect((await readdir(folder)).length).toBe(2);
    await log.write(owned, undefined);
    const [record, others, ...more] = (await readdir(folder)).sort();
    expect([record, more]).toEqual([`${machine}.1.json`, []]);
    expect(others).toMatch(new RegExp(`^${other}\\.writing-1-`));
  });

  it("leaves its folder to a writer that goes on from the new record before its writer has cleared up", async () => {
    await log.write(owned, undefined);
    let isMade: () => void = () => {};
    const made = new Promise<void>((resolve) => {
      isMade = resolve;
    });
    let goOn: () => void = () => {};
    const cleared = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const second = {
      ...fs,
      mkdtemp: async (prefix: string) => {
        const path = await fs.mkdtemp(prefix);
        isMade();
        await cleared;
        return path;
      },
    };
    let writing: Promise<void> | undefined;
    const first = {
      ...fs,
      link: async (existing: string, added: string) => {
        await fs.link(existing, added);
        writing = fileOwnershipLog({ fs: second, folder }).write(released, offered);
        await made;
      },
    };
    await fileOwnershipLog({ fs: first, folder }).write(offered, owned);
    expect((await readdir(folder)).length).toBe(2);
    goOn();
    await writing;
    expect(await log.read(machine)).toEqual(released);
    expect(await readdir(folder)).toEqual([`${machine}.3.json`]);
  });

  it("refuses who has read something else", async () => {
    await log.write(owned, undefined);
    await expect(log.write(released, undefined)).rejects.toMatchObject({ code: "OWNERSHIP_CONFLICT" });
    await expect(log.write(released, offered)).rejects.toMatchObject({
      code: "OWNERSHIP_CONFLICT",
      expected: "owned 1, offered",
      found: "owned 1",
    });
    expect(await log.read(machine)).toEqual(owned);
  });

  it("never takes a torn, changed or foreign file for none", async () => {
    await log.write(released, undefined);
    const path = join(folder, `${machine}.1.json`);
    const whole = await readFile(path);
    let refused = 0;
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      await expect(log.read(machine), `${length} bytes`).rejects.toMatchObject({ code: "OWNERSHIP_RECORD" });
      refused++;
    }
    for (let at = 0; at < whole.length; at++) {
      const changed = Uint8Array.from(whole);
      changed[at] = (changed[at] as number) ^ 1;
      await writeFile(path, changed);
      await expect(log.read(machine), `byte ${at}`).rejects.toMatchObject({ code: "OWNERSHIP_RECORD" });
      refused++;
    }
    expect(refused).toBe(2 * whole.length);
    await writeFile(path, Buffer.concat([whole, Buffer.from("\n")]));
    await expect(log.read(machine)).rejects.toMatchObject({ code: "OWNERSHIP_RECORD" });
    await expect(log.write(owned, undefined)).rejects.toMatchObject({ code: "OWNERSHIP_RECORD" });
    const other = "f".repeat(32);
    await writeFile(join(folder, `${other}.1.json`), whole);
    await expect(log.read(other)).rejects.toMatchObject({ code: "OWNERSHIP_RECORD", location: { path: "machine" } });
    await writeFile(path, whole);
    expect(await log.read(machine)).toEqual(released);
  });

  it("takes a missing folder for what it is", async () => {
    const gone = fileOwnershipLog({ fs, folder: join(folder, "gone") });
    await expect(gone.read(machine)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(gone.write(owned, undefined)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("refuses names that are no machine ids", async () => {
    for (const name of ["", "../../etc/passwd", machine.toUpperCase(), `${machine}0`]) {
      await expect(log.read(name)).rejects.toMatchObject({ code: "OWNERSHIP_MACHINE" });
      await expect(log.write({ ...owned, machine: name }, undefined)).rejects.toMatchObject({
        code: "OWNERSHIP_MACHINE",
      });
    }
    await expect(log.write({ ...owned, epoch: 0 }, undefined)).rejects.toMatchObject({ code: "OWNERSHIP_RECORD" });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("a power cut", () => {
  /** All that can be on the disk after power was cut before the given step; undefined where the write was done before. */
  async function afterCut(
    before: readonly OwnershipRecord[],
    next: OwnershipRecord,
    step: number,
    kept: "all" | "synced",
  ) {
    const files = new CuttableFiles();
    const log = fileOwnershipLog({ fs: files, folder: "/log" });
    let previous: OwnershipRecord | undefined;
    for (const record of before) {
      await log.write(record, previous);
      previous = record;
    }
    files.cutAfter(step);
    const wasCut = await log.write(next, previous).then(
      () => false,
      (error: unknown) => isCut(error),
    );
    files.reboot(kept);
    return { wasCut, found: await fileOwnershipLog({ fs: files, folder: "/log" }).read(machine), files };
  }

  it.each(["all", "synced"] as const)(
    "at any step leaves the old record or the new one, whole (%s kept)",
    async (kept) => {
      const histories: OwnershipRecord[][] = [[], [owned], [owned, offered]];
      for (const before of histories) {
        const found: unknown[] = [];
        let steps = 0;
        for (; ; steps++) {
          const after = await afterCut(before, released, steps, kept);
          expect([before.at(-1), released]).toContainEqual(after.found);
          if (found.includes(released)) expect(after.found).toEqual(released);
          found.push(after.found?.state === "released" ? released : before.at(-1));
          if (!after.wasCut) break;
        }
        expect(steps).toBeGreaterThan(8);
        expect(found[0]).toEqual(before.at(-1));
        expect(found.at(-1)).toEqual(released);
        // And goes on from there.
        const { files } = await afterCut(before, released, 5, kept);
        const log = fileOwnershipLog({ fs: files, folder: "/log" });
        const last = await log.read(machine);
        await log.write({ machine, epoch: 9, state: "refused" }, last);
        expect(await log.read(machine)).toEqual({ machine, epoch: 9, state: "refused" });
      }
    },
  );

  it("behind the last word takes nothing away", async () => {
    const { wasCut, found } = await afterCut([owned], released, 1000, "synced");
    expect(wasCut).toBe(false);
    expect(found).toEqual(released);
  });

  it("is seen by these tests: without the folder's sync the record may be gone", async () => {
    const files = new CuttableFiles();
    await fileOwnershipLog({ fs: files, folder: "/log", syncFolder: false }).write(owned, undefined);
    files.reboot("synced");
    expect(await fileOwnershipLog({ fs: files, folder: "/log" }).read(machine)).toBeUndefined();
  });
});
