// Each window of docs/live-migration.md in which a connection to a QEMU, or one from it, can break: what each side says
// then, and where the guest runs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { IncomingInit } from "@godwit/core";
import type { HostClock } from "@godwit/migration";
import { haveStreams } from "@godwit/test-support/streams";
import type { Channel } from "@godwit/transport";
import { tcp } from "@godwit/transport/tcp";
import { unix } from "@godwit/transport/unix";
import { createVault, type Vault } from "godwit/vault";
import { describe, expect, it } from "vitest";
import { counts } from "../src/counts.ts";
import { Qemu } from "../src/qemu.ts";
import {
  cutBehind,
  cutting,
  endsVmdesc,
  hasPackage,
  isLast,
  isPackage,
  type Moment,
  sendingBy,
  shutIn,
} from "./support/cut.ts";
import { haveQemu } from "./support/live.ts";
import {
  differing,
  guestPages,
  memoryBytes,
  pagesInPlace,
  tinyBlocks,
  tinyOptions,
  tinyStream,
} from "./support/tiny.ts";
import {
  endOf,
  type Giving,
  give as giveTo,
  goodSoFar,
  hostClock,
  portRoad,
  stateOf,
  type Taking,
  take as takeFrom,
} from "./support/vault-run.ts";

const target = "x86_64";
const have = haveStreams() && haveQemu(target);
const inRamBytes = 4 << 20;
/** On a machine that does much else; alone, a test takes some seconds. */
const patience = { timeout: 180_000 };

/** The windows that the page tells of, by their names in its tables. */
const page = readFileSync(fileURLToPath(new URL("../../../docs/live-migration.md", import.meta.url)), "utf8");
const rows = [...page.matchAll(/^\| `([a-z-]+)` (.*)$/gm)].map(([, name, rest]) => [name as string, rest as string]);
const documented = rows.map(([name]) => name);
const tested = new Set<string>();

/** What a test has seen, to be compared with the page. */
interface Seen {
  /** How the window's own migration ended here. */
  godwit?: string;
  /** QEMU's words for its migration. */
  qemu: string[];
  guest?: RegExp;
}

let seen: Seen = { qemu: [] };

/** The test of a window; the page must have it, and tell of it what is seen. */
function inWindow(name: string, test: () => Promise<void>): void {
  tested.add(name);
  it(name, async () => {
    const row = rows.find(([window]) => window === name)?.[1] ?? expect.unreachable(`no row for ${name}`);
    const [, , qemu = "", godwit = "", guest = ""] = row.split("|");
    seen = { qemu: [] };
    await test();
    expect(godwit).toContain(`\`${seen.godwit}\``);
    for (const word of seen.qemu) expect(qemu).toContain(word);
    if (seen.guest !== undefined) expect(guest).toMatch(seen.guest);
  });
}

/** The first migration of a test is the window's own. */
function noted<T extends { readonly state: { readonly status: string } }>(report: T): T {
  seen.godwit ??= report.state.status;
  return report;
}

const take = async (...args: Parameters<typeof takeFrom>) => noted(await takeFrom(...args));
const give = async (...args: Parameters<typeof giveTo>) => noted(await giveTo(...args));

/** Takes from a QEMU; the connection breaks at `moment`, which must come. */
async function brokenFrom(moment: Moment, taking: Taking & { capabilities?: readonly string[] } = {}) {
  const source = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
  const vault = createVault();
  let cuts = 0;
  await source.allow(["return-path", ...(taking.capabilities ?? [])], { "max-bandwidth": 1 << 30 });
  const report = await take(vault, source, {
    ...taking,
    through: (channel) => cutting(channel, moment, () => cuts++),
  });
  expect(cuts, "the moment came once").toBe(1);
  return { source, vault, report };
}

async function expectRunsOn(qemu: Qemu, migration: string): Promise<void> {
  seen.qemu.push(`\`${migration}\``);
  seen.guest = /runs in QEMU|runs there|there twice/;
  expect((await endOf(qemu)).migration).toBe(migration);
  const before = counts(qemu.serial).length;
  await qemu.until(() => counts(qemu.serial).length > before, "counting");
  expect(await stateOf(qemu)).toEqual({ migration, guest: "running" });
}

const failedUnowned = { status: "failed", ownership: "none", error: { code: "PEER_CLOSED" } };

describe.skipIf(!have)("from a QEMU, the connection breaks", patience, () => {
  inWindow("from-ram", async () => {
    const { source, vault, report } = await brokenFrom({ beforeReading: (_, total) => total > inRamBytes });
    await using qemu = source;
    expect(report.state).toMatchObject(failedUnowned);
    expect(vault.isEmpty).toBe(true);
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-pre-switchover", async () => {
    let isPaused = false;
    let breakOff: (() => void) | undefined;
    const source = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await using qemu = source;
    await qemu.allow(["return-path", "pause-before-switchover"], { "max-bandwidth": 1 << 30 });
    const vault = createVault();
    const report = await take(vault, qemu, {
      through(channel) {
        breakOff = () => channel.abort(new Error("cut by the test"));
        return channel;
      },
      async act(migration) {
        await qemu.until(async () => (await stateOf(qemu)).migration === "pre-switchover", "pre-switchover");
        await goodSoFar(qemu, migration);
        isPaused = true;
        breakOff?.();
        await qemu.qmp("migrate-continue", { state: "pre-switchover" });
      },
    });
    expect(isPaused).toBe(true);
    expect(report.state).toMatchObject({ status: "failed", ownership: "none" });
    expect(vault.isEmpty).toBe(true);
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-pre-switchover-silent", async () => {
    const timeoutMs = 60_000;
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow(["return-path", "pause-before-switchover"], { "max-bandwidth": 1 << 30 });
    const vault = createVault();
    let aheadMs = 0;
    const timers = new Set<() => void>();
    const clock: HostClock = {
      nowMs: () => hostClock.nowMs() + aheadMs,
      after(delayMs, callback) {
        if (delayMs < timeoutMs / 2) return hostClock.after(delayMs, callback);
        timers.add(callback);
        return () => void timers.delete(callback);
      },
    };
    const report = await take(vault, qemu, {
      options: { clock, peerTimeoutMs: timeoutMs },
      async act(migration) {
        await qemu.until(async () => (await stateOf(qemu)).migration === "pre-switchover", "pre-switchover");
        await goodSoFar(qemu, migration);
        aheadMs = timeoutMs;
        for (const callback of [...timers]) callback();
      },
    });
    expect(report.state).toMatchObject({ status: "failed", ownership: "none", error: { code: "PEER_SILENT" } });
    expect(vault.isEmpty).toBe(true);
    expect((await stateOf(qemu)).migration).toBe("pre-switchover");
    await qemu.qmp("migrate-continue", { state: "pre-switchover" });
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-all-sent", async () => {
    const { source, vault, report } = await brokenFrom({ beforeReading: endsVmdesc });
    await using qemu = source;
    expect(report.state).toMatchObject(failedUnowned);
    expect(vault.isEmpty).toBe(true);
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-shut-lost", async () => {
    const { source, vault, report } = await brokenFrom({ beforeSending: (bytes) => shutIn(bytes) === 0 });
    await using qemu = source;
    expect(report.state).toEqual({ status: "completed" });
    expect(report.sourceTold).toBe(false);
    expect(vault.isEmpty).toBe(false);
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-shut-heard", async () => {
    const { source, vault, report } = await brokenFrom({ afterSending: (bytes) => shutIn(bytes) === 0 });
    await using qemu = source;
    expect(report.state).toEqual({ status: "completed" });
    expect(report.sourceTold).toBe(false);
    expect(vault.isEmpty).toBe(false);
    expect(await endOf(qemu)).toEqual({ migration: "completed", guest: "postmigrate" });
  });

  inWindow("from-refused", async () => {
    const source = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await using qemu = source;
    await qemu.allow(["return-path"], { "max-bandwidth": 1 << 30 });
    const said: (number | undefined)[] = [];
    const vault = createVault({ holdBytes: 10_000 });
    const report = await take(vault, qemu, {
      through: (channel) =>
        sendingBy(channel, (bytes, on) => {
          said.push(shutIn(bytes));
          return on(bytes);
        }),
    });
    expect(report.state).toMatchObject({ status: "failed", ownership: "none", error: { code: "LENGTH_BOUND" } });
    expect(said.at(-1)).toBe(1);
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-no-return-path", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow([], { "max-bandwidth": 1 << 30 });
    const vault = createVault();
    const report = await take(vault, qemu);
    expect(report.state).toMatchObject({ status: "failed", ownership: "none", error: { code: "PROTOCOL_ORDER" } });
    expect("error" in report.state && report.state.error.message).toContain("return-path");
    expect(vault.isEmpty).toBe(true);
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-cancelled", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow(["return-path"], { "max-bandwidth": 1 << 20 });
    const vault = createVault();
    const report = await take(vault, qemu, {
      async act(migration) {
        await qemu.until(() => migration.statistics().receivedBytes > 0, "the first bytes");
        await qemu.qmp("migrate_cancel");
      },
    });
    expect(report.state).toMatchObject(failedUnowned);
    expect(vault.isEmpty).toBe(true);
    await expectRunsOn(qemu, "cancelled");
  });

  inWindow("from-cancelled-here", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow(["return-path"], { "max-bandwidth": 1 << 20 });
    const vault = createVault();
    const report = await take(vault, qemu, {
      async act(migration) {
        await qemu.until(() => migration.statistics().receivedBytes > 0, "the first bytes");
        expect(migration.cancel()).toBe(true);
      },
    });
    expect(report.state).toEqual({ status: "cancelled" });
    expect(vault.isEmpty).toBe(true);
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-cancelled-late", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow(["return-path"], { "max-bandwidth": 1 << 30 });
    const vault = createVault();
    const report = await take(vault, qemu, {
      // Where what is sent to somebody who has hung up is lost without a word.
      road: portRoad(tcp),
      through: (channel) =>
        sendingBy(channel, async (bytes, on) => {
          if (shutIn(bytes) === 0) {
            await qemu.qmp("migrate_cancel");
            await qemu.until(async () => (await stateOf(qemu)).migration === "cancelled", "the end of it");
          }
          await on(bytes);
        }),
    });
    expect(report.state).toEqual({ status: "completed" });
    expect(report.sourceTold).toBe(false);
    expect(vault.isEmpty).toBe(false);
    await expectRunsOn(qemu, "cancelled");
  });

  inWindow("from-unrunnable", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow(["return-path"], { "max-bandwidth": 1 << 30 });
    const vault = createVault();
    const machine = {
      manifest: () => vault.manifest(),
      incoming: (init?: IncomingInit) => vault.incoming(init),
      outgoing: () => vault.outgoing(),
      quiesce: () => vault.quiesce(),
      pause: () => vault.pause(),
      resume() {
        throw new Error("its clock does not start");
      },
    };
    const report = await take(vault, qemu, { options: { machine } });
    expect(report.state).toMatchObject({ status: "failed", ownership: "taken" });
    await expectRunsOn(qemu, "failed");
  });

  inWindow("from-killed", async () => {
    const source = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    const vault = createVault();
    await source.allow(["return-path"], { "max-bandwidth": 1 << 20 });
    const report = await take(vault, source, {
      async act(migration) {
        await source.until(() => migration.statistics().receivedBytes > 0, "the first bytes");
        await source.stop();
      },
    });
    expect(report.state).toMatchObject(failedUnowned);
    expect(vault.isEmpty).toBe(true);
  });
});

describe.skipIf(!have)("from a QEMU in post-copy, the connection breaks", patience, () => {
  inWindow("from-package", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await qemu.allow(["return-path", "postcopy-ram"], { "max-bandwidth": 1 << 20 });
    const vault = createVault();
    let cuts = 0;
    const report = await take(vault, qemu, {
      options: { capabilities: { "postcopy-ram": true } },
      through: (channel) => cutting(channel, { beforeReading: hasPackage }, () => cuts++),
      async act(migration) {
        await qemu.until(() => migration.statistics().receivedBytes > 1 << 20, "the first pages");
        await qemu.qmp("migrate-start-postcopy");
      },
    });
    expect(cuts).toBe(1);
    expect(report.state).toMatchObject(failedUnowned);
    await qemu.until(async () => (await stateOf(qemu)).migration === "postcopy-paused", "the pause");
    expect((await stateOf(qemu)).guest).toBe("finish-migrate");
    await qemu.qmp("migrate_cancel");
    await expect(qemu.qmp("cont")).rejects.toThrow(/not finalized/);
    expect(await stateOf(qemu)).toEqual({ migration: "cancelling", guest: "finish-migrate" });
    expect(vault.isEmpty).toBe(true);
  });

  inWindow("from-postcopy", async () => {
    const source = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    await using qemu = source;
    await qemu.allow(["return-path", "postcopy-ram"], { "max-bandwidth": 1 << 20, "max-postcopy-bandwidth": 2 << 20 });
    const vault = createVault();
    const first: Channel[] = [];
    const again = await unix.listen(`unix:${join(qemu.folder, "again")}`);
    const report = await take(vault, qemu, {
      options: { capabilities: { "postcopy-ram": true } },
      through(channel) {
        first.push(channel);
        return channel;
      },
      async act(migration) {
        await qemu.until(() => migration.statistics().receivedBytes > 1 << 20, "the first pages");
        await qemu.qmp("migrate-start-postcopy");
        await qemu.until(() => migration.state.status === "postcopy-active", "the package");
        first[0]?.abort(new Error("cut by the test"));
        await qemu.until(() => migration.state.status === "postcopy-paused", "the pause here");
        await qemu.until(async () => (await stateOf(qemu)).migration === "postcopy-paused", "the pause there");
        expect((await stateOf(qemu)).guest).toBe("finish-migrate");
        expect(() => vault.outgoing()).toThrow(/ATTEMPT_ACTIVE/);
        const recovered = migration.recover(() => again.accept());
        await qemu.qmp("migrate", { uri: `unix:${join(qemu.folder, "again")}`, resume: true });
        await recovered;
      },
    });
    await again.close();
    expect(report.state).toEqual({ status: "completed" });
    expect(report.postcopy).toMatchObject({ recoveries: 1 });
    expect(await endOf(qemu)).toEqual({ migration: "completed", guest: "postmigrate" });
    const ram = vault.memory.get("pc.ram") as Uint8Array;
    expect(differing(ram, await qemu.memory(memoryBytes))).toEqual([]);
  });
});

/** A vault with a machine in it that nobody runs. */
async function fullVault(): Promise<Vault> {
  const vault = createVault();
  const attempt = vault.incoming();
  attempt.push(tinyStream());
  attempt.end();
  await attempt.prepare();
  await attempt.commit();
  return vault;
}

async function waiting(words: readonly string[] = tinyOptions()): Promise<Qemu> {
  return Qemu.start({ target, options: words, incoming: true });
}

/** Gives to a QEMU; the connection breaks at `moment`, which must come. */
async function brokenTowards(moment: Moment, giving: Giving = {}) {
  const [vault, qemu] = await Promise.all([fullVault(), waiting()]);
  let cuts = 0;
  const report = await give(vault, qemu, {
    ...giving,
    through: (channel) => cutting(channel, moment, () => cuts++),
  });
  expect(cuts, "the moment came once").toBe(1);
  return { vault, qemu, report };
}

/** QEMU 7.2 ends when a machine does not come whole. */
async function expectNeverRan(qemu: Qemu): Promise<void> {
  seen.qemu.push("7.2 ends itself; never ran it");
  seen.guest = /is here|stands here/;
  await expect(qemu.until(async () => (await stateOf(qemu)).guest === "running", "a guest")).rejects.toThrow(
    /gone|ended/,
  );
  expect(counts(qemu.serial)).toEqual([]);
  expect(qemu.stderr).toContain("load of migration failed");
}

/** What the vault has is whole: the next QEMU runs it. */
async function expectGiven(vault: Vault): Promise<void> {
  await using next = await waiting();
  expect((await give(vault, next)).state).toEqual({ status: "completed" });
  await next.until(() => counts(next.serial).length >= 1, "counting");
}

describe.skipIf(!have)("towards a QEMU, the connection breaks", patience, () => {
  inWindow("towards-ram", async () => {
    const { vault, qemu, report } = await brokenTowards({ beforeSending: (_, total) => total > inRamBytes });
    await using _ = qemu;
    expect(report.state).toMatchObject({ status: "failed", error: { code: "PEER_CLOSED" } });
    await expectNeverRan(qemu);
    await expectGiven(vault);
  });

  inWindow("towards-all-but-eof", async () => {
    const { vault, qemu, report } = await brokenTowards({
      // The PING that stands behind the devices' sections.
      beforeSending: (bytes) => bytes.length === 9 && bytes[0] === 8 && bytes[2] === 2 && (bytes[8] as number) > 0,
    });
    await using _ = qemu;
    expect(report.state).toMatchObject({ status: "failed", error: { code: "PEER_CLOSED" } });
    await expectNeverRan(qemu);
    await expectGiven(vault);
  });

  inWindow("towards-refused", async () => {
    const [vault, qemu] = await Promise.all([
      fullVault(),
      waiting(tinyOptions().map((word) => (word === String(tinyMegabytes()) ? String(tinyMegabytes() + 8) : word))),
    ]);
    await using _ = qemu;
    const report = await give(vault, qemu);
    expect(report.state).toMatchObject({ status: "failed" });
    await expectNeverRan(qemu);
    await expectGiven(vault);
  });

  inWindow("towards-cancelled", async () => {
    const [vault, qemu] = await Promise.all([fullVault(), waiting()]);
    await using _ = qemu;
    const report = await give(vault, qemu, {
      options: { parameters: { "max-bandwidth": 8 << 20 } },
      async act(migration) {
        await qemu.until(() => migration.statistics().ram.transferred > 1 << 20, "pages");
        expect(migration.cancel()).toBe(true);
      },
    });
    expect(report.state).toEqual({ status: "cancelled" });
    await expectNeverRan(qemu);
    await expectGiven(vault);
  });

  inWindow("towards-eof-lost", async () => {
    const { qemu, report } = await brokenTowards({ beforeSending: isLast });
    await using _ = qemu;
    expect(report.state).toMatchObject({ status: "in-doubt", destination: "unknown", error: { code: "PEER_CLOSED" } });
    await expectNeverRan(qemu);
  });

  inWindow("towards-vmdesc-lost", async () => {
    const [vault, qemu] = await Promise.all([fullVault(), waiting()]);
    await using _ = qemu;
    const report = await give(vault, qemu, {
      through: (channel) => sendingBy(channel, (bytes, on) => (isLast(bytes) ? cutBehind(bytes, 1, on) : on(bytes))),
    });
    expect(report.state).toMatchObject({ status: "in-doubt", destination: "unknown", error: { code: "PEER_CLOSED" } });
    expect(() => vault.outgoing()).toThrow(/VAULT_GIVEN/);
    await qemu.until(() => counts(qemu.serial).length >= 1, "counting");
    expect(await stateOf(qemu)).toEqual({ migration: "completed", guest: "running" });
  });

  inWindow("towards-killed", async () => {
    const [vault, qemu] = await Promise.all([fullVault(), waiting()]);
    const report = await give(vault, qemu, {
      options: { parameters: { "max-bandwidth": 8 << 20 } },
      async act(migration) {
        await qemu.until(() => migration.statistics().ram.transferred > 1 << 20, "pages");
        await qemu.stop();
      },
    });
    expect(report.state).toMatchObject({ status: "failed", error: { code: "PEER_CLOSED" } });
    await expectGiven(vault);
  });

  inWindow("towards-killed-late", async () => {
    const [vault, qemu] = await Promise.all([fullVault(), waiting()]);
    let counted = 0;
    const report = await give(vault, qemu, {
      through: (channel) => ({
        send: (bytes) => channel.send(bytes),
        close: () => channel.close(),
        abort: (error) => channel.abort(error),
        async *receive() {
          for await (const bytes of channel.receive()) {
            if (shutIn(bytes) === 0) {
              await qemu.until(() => counts(qemu.serial).length >= 1, "counting");
              counted = counts(qemu.serial).length;
              await qemu.stop();
              return;
            }
            yield bytes;
          }
        },
      }),
    });
    expect(counted).toBeGreaterThan(0);
    expect(report.state).toMatchObject({ status: "in-doubt", destination: "unknown", error: { code: "PEER_CLOSED" } });
    expect(() => vault.outgoing()).toThrow(/VAULT_GIVEN/);
  });

  inWindow("towards-shut-lost", async () => {
    const { qemu, report } = await brokenTowards({ beforeReading: (bytes) => shutIn(bytes) === 0 });
    await using _ = qemu;
    expect(report.state).toMatchObject({ status: "in-doubt", destination: "unknown", error: { code: "PEER_CLOSED" } });
    await qemu.until(() => counts(qemu.serial).length >= 1, "counting");
    expect(await stateOf(qemu)).toEqual({ migration: "completed", guest: "running" });
  });
});

describe.skipIf(!have)("towards a QEMU in post-copy, the connection breaks", patience, () => {
  inWindow("towards-package", async () => {
    const [vault, qemu] = await Promise.all([
      fullVault(),
      Qemu.start({ target, options: tinyOptions(), incoming: true, capabilities: ["postcopy-ram"] }),
    ]);
    await using _ = qemu;
    const report = await give(vault, qemu, {
      options: { capabilities: { "postcopy-ram": true }, parameters: { "max-bandwidth": 1 << 20 } },
      through: (channel) =>
        sendingBy(channel, (bytes, on) => (isPackage(bytes) ? cutBehind(bytes, bytes.length >> 1, on) : on(bytes))),
      async act(migration) {
        await qemu.until(() => migration.state.status === "active", "the first pages");
        migration.startPostcopy();
        await expectNeverRan(qemu);
        expect(migration.state.status).toBe("postcopy-paused");
        expect(migration.abandon()).toBe(true);
      },
    });
    expect(report.state).toMatchObject({ status: "in-doubt", destination: "unknown", error: { code: "PEER_CLOSED" } });
    expect(() => vault.outgoing()).toThrow(/VAULT_GIVEN/);
    vault.resume();
    await expectGiven(vault);
  });

  inWindow("towards-postcopy", async () => {
    const [vault, qemu] = await Promise.all([
      fullVault(),
      Qemu.start({ target, options: tinyOptions(), incoming: true, capabilities: ["postcopy-ram"] }),
    ]);
    await using _ = qemu;
    const first: Channel[] = [];
    const report = await give(vault, qemu, {
      options: {
        capabilities: { "postcopy-ram": true },
        parameters: { "max-bandwidth": 1 << 20, "max-postcopy-bandwidth": 2 << 20 },
        sliceBytes: 64 * 1024,
      },
      through(channel) {
        first.push(channel);
        return channel;
      },
      async act(migration) {
        await qemu.until(() => migration.state.status === "active", "the first pages");
        migration.startPostcopy();
        await qemu.until(() => migration.state.status === "postcopy-active", "the package");
        first[0]?.abort(new Error("cut by the test"));
        await qemu.until(() => migration.state.status === "postcopy-paused", "the pause here");
        await qemu.until(async () => (await stateOf(qemu)).migration === "postcopy-paused", "the pause there");
        expect((await stateOf(qemu)).guest).toBe("running");
        const uri = `unix:${join(qemu.folder, "again")}`;
        await qemu.qmp("migrate-recover", { uri });
        await migration.recover(() => unix.connect(uri));
      },
    });
    expect(report.state).toEqual({ status: "completed" });
    await qemu.until(() => counts(qemu.serial).length >= 1, "counting");
    expect(await endOf(qemu)).toEqual({ migration: "completed", guest: "running" });
    expect(pagesInPlace(await qemu.memory(memoryBytes))).toBe(guestPages);
  });
});

describe("docs/live-migration.md", () => {
  it("has a row for each window that is tested, and no other", () => {
    expect([...documented].sort()).toEqual([...tested].sort());
  });
});

/** The guest's memory, as its options say it. MiB. */
function tinyMegabytes(): number {
  const block = tinyBlocks().find(({ idstr }) => idstr === "pc.ram");
  return (block?.bytes ?? 0) / (1 << 20);
}
