// Guests that run on: from QEMU into a vault and out of it into another QEMU, live, in every way that QEMU 7.2 sends.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import { haveStreams } from "@godwit/test-support/streams";
import { tls } from "@godwit/transport/tls";
import { createVault, type Vault } from "godwit/vault";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { counts, goesOn } from "../src/counts.ts";
import { ppc64Firmware, s390xKernel } from "../src/guests.ts";
import { pseriesOptions, s390Options } from "../src/machines.ts";
import { Qemu, type QemuInit, type QemuTarget } from "../src/qemu.ts";
import { type CertificateName, identity, qemuCredentials } from "./support/credentials.ts";
import { fileOf, haveQemu } from "./support/live.ts";
import { differing, guestPages, memoryBytes, pagesInPlace, passIn, tinyOptions, tinyStream } from "./support/tiny.ts";
import { endOf, type Giving, give, goodSoFar, portRoad, stateOf, type Taking, take } from "./support/vault-run.ts";

const target = "x86_64";
const have = haveStreams() && haveQemu(target);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-live-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** On a machine that does much else; alone, a test takes some seconds. */
const patience = { timeout: 180_000 };
/** Of each QEMU that gives: Godwit takes no machine from one that would not wait for its word. */
const waits = ["return-path"];

interface Way {
  readonly capabilities?: readonly string[];
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly source?: Partial<QemuInit>;
  readonly destination?: Partial<QemuInit>;
  /** Of the source alone. */
  before?(source: Qemu): Promise<void>;
  readonly taking?: (qemu: Qemu) => Taking;
  readonly giving?: (qemu: Qemu, vault: Vault) => Giving;
  /** The machine is in the vault, the source stands. */
  held?(source: Qemu, vault: Vault): Promise<void>;
}

/** The tiny guest through a vault; its memory compared in the middle, its count at the end. */
async function tinyHop(way: Way = {}): Promise<Vault> {
  const { capabilities = [], parameters = {} } = way;
  const vault = createVault();
  await using source = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream(), ...way.source });
  await source.allow([...waits, ...capabilities], { "max-bandwidth": 1 << 30, ...parameters });
  await way.before?.(source);
  await source.until(() => counts(source.serial).length >= 1, "counting");
  const taking = way.taking?.(source);
  const taken = await take(vault, source, taking);
  taking?.done?.(taken);
  expect(taken.state).toEqual({ status: "completed" });
  expect(taken.sourceTold).toBe(true);
  expect(await endOf(source)).toEqual({ migration: "completed", guest: "postmigrate" });
  const ram = vault.memory.get("pc.ram") as Uint8Array;
  expect(pagesInPlace(ram)).toBe(guestPages);
  expect(differing(ram, await source.memory(memoryBytes))).toEqual([]);
  await way.held?.(source, vault);
  await using destination = await Qemu.start({
    target,
    options: tinyOptions(),
    incoming: true,
    capabilities,
    parameters,
    ...way.destination,
  });
  const given = await give(vault, destination, way.giving?.(destination, vault));
  expect(given.state).toEqual({ status: "completed" });
  expect(await endOf(destination)).toEqual({ migration: "completed", guest: "running" });
  await destination.until(() => counts(destination.serial).length >= 1, "counting");
  expect(pagesInPlace(await destination.memory(memoryBytes))).toBe(guestPages);
  const { gaps, to } = goesOn(source.serial, destination.serial);
  expect(gaps, "what the guest counted").toEqual([]);
  expect(to).toBeGreaterThanOrEqual(passIn(ram));
  expect(destination.stderr).not.toMatch(/error|fail/i);
  return vault;
}

/** All of the guest's pages in some seconds, and in half of one. Bytes a second. */
const slow = 1 << 20;
const fast = 16 << 20;

async function dirtySyncs(qemu: Qemu): Promise<number> {
  const { ram } = await qemu.qmp<{ ram?: { "dirty-sync-count": number } }>("query-migrate");
  return ram?.["dirty-sync-count"] ?? 0;
}

/** The guest writes many of its pages: the end of one pass, at least. */
async function nextPass(qemu: Qemu): Promise<void> {
  const before = counts(qemu.serial).length;
  await qemu.until(() => counts(qemu.serial).length > before, "a pass");
}

describe.skipIf(!have)("x86 through a vault, live", patience, () => {
  it("plain", async () => {
    const vault = await tinyHop();
    expect(vault.ram.statistics().sent?.normalPages).toBeGreaterThan(guestPages);
    const how = vault.held.map((one) => one.how);
    expect(how.length).toBeGreaterThan(20);
    expect(new Set(how)).toEqual(new Set(["carried"]));
  });

  it("as deltas: xbzrle", async () => {
    await tinyHop({
      capabilities: ["xbzrle"],
      parameters: { "max-bandwidth": slow, "downtime-limit": 1 },
      taking: (qemu) => ({
        async act() {
          // The second round sends every page whole, and fills the cache; the third has deltas.
          await nextPass(qemu);
          await qemu.allow([], { "max-bandwidth": fast });
          await qemu.until(async () => (await dirtySyncs(qemu)) > 1, "a second round");
          await qemu.allow([], { "max-bandwidth": slow });
          await nextPass(qemu);
          await qemu.allow([], { "max-bandwidth": 1 << 30, "downtime-limit": 2000 });
        },
      }),
      held: async (_, vault) => expect(vault.ram.statistics().received?.xbzrlePages).toBeGreaterThan(0),
      // A machine that stands has no second round: that the capability is on changes nothing.
      giving: () => ({ options: { capabilities: { xbzrle: true } } }),
    });
  });

  it("over two channels: multifd", async () => {
    const channels = 2;
    const ours = { capabilities: { multifd: true }, parameters: { "multifd-channels": channels, "max-bandwidth": 0 } };
    const vault = await tinyHop({
      capabilities: ["multifd"],
      parameters: { "multifd-channels": channels },
      taking: () => ({
        options: ours,
        prepare: (into) => into.ram.receiveBy({ multifd: { channels, sync: "section" } }),
      }),
      giving: (_, from) => ({
        options: {
          ...ours,
          sendOver: (sinks) =>
            from.ram.sendBy({ multifd: multifdSender({ channels: sinks, sync: "section", zeroPages: "records" }) }),
        },
      }),
    });
    expect(vault.ram.statistics().sent?.multifdBytes).toBeGreaterThan(8 << 20);
  });

  it("with certificates on both sides: tls", async () => {
    const secure = (name: CertificateName, endpoint: "server" | "client") => ({
      options: [...tinyOptions(), ...qemuCredentials(folder, name, endpoint)],
    });
    await tinyHop({
      parameters: { "tls-creds": "tls0" },
      source: secure("client", "client"),
      taking: () => ({ road: portRoad(tls(identity("server"))) }),
      destination: secure("server", "server"),
      giving: () => ({ road: portRoad(tls(identity("client"))) }),
    });
  });

  it("is not given to somebody without a certificate of ours, nor taken: the guest goes on where it is", async () => {
    await using source = await Qemu.start({
      target,
      options: [...tinyOptions(), ...qemuCredentials(folder, "stranger", "client")],
      stream: tinyStream(),
    });
    await source.allow(waits, { "tls-creds": "tls0" });
    const refused: unknown[] = [];
    const road = portRoad(tls({ ...identity("server"), onRefused: (error) => void refused.push(error.code) }));
    const vault = createVault();
    const taken = await take(vault, source, {
      road,
      async act(migration) {
        expect((await endOf(source)).migration).toBe("failed");
        migration.cancel();
      },
    });
    expect(taken.state).toEqual({ status: "cancelled" });
    expect(refused).toEqual(["TRANSPORT_CREDENTIALS"]);
    expect(vault.isEmpty).toBe(true);
    await nextPass(source);
    expect(await stateOf(source)).toEqual({ migration: "failed", guest: "running" });
  });

  it("stops before the switch-over until the vault says that all is good so far: pause-before-switchover", async () => {
    await tinyHop({
      source: { capabilities: ["pause-before-switchover"] },
      taking: (qemu) => ({
        async act(migration) {
          const status = async () => (await stateOf(qemu)).migration;
          await qemu.until(async () => (await status()) === "pre-switchover", "pre-switchover");
          const counted = counts(qemu.serial).length;
          await goodSoFar(qemu, migration);
          expect(counts(qemu.serial).length).toBe(counted);
          await qemu.qmp("migrate-continue", { state: "pre-switchover" });
        },
      }),
    });
  });
});

/** Post-copy, with a connection of its own for urgent pages or without. */
const ahead = [
  ["on the main connection", ["postcopy-ram"]],
  ["on a connection of their own: postcopy-preempt", ["postcopy-ram", "postcopy-preempt"]],
] as const;

const switchedOn = (names: readonly string[]): Record<string, true> =>
  Object.fromEntries(names.map((name) => [name, true as const]));

describe.skipIf(!have)("x86 through a vault, live, in post-copy", patience, () => {
  it.each(ahead)("from QEMU, the devices first: urgent pages %s", async (_, names) => {
    let missingPages = 0;
    const vault = await tinyHop({
      before: (source) => source.allow(names),
      parameters: { "max-bandwidth": slow },
      taking: (qemu) => ({
        options: { capabilities: switchedOn(names) },
        async act(migration) {
          await qemu.until(() => migration.statistics().receivedBytes > 1 << 20, "the first pages");
          await qemu.qmp("migrate-start-postcopy");
          await qemu.until(() => migration.state.status !== "active", "the package");
        },
        done: ({ postcopy }) => {
          missingPages = postcopy?.missingPages ?? 0;
        },
      }),
    });
    expect(missingPages).toBeGreaterThan(guestPages / 2);
    // Nothing tells where a device ends: no vmdesc comes.
    expect(vault.held.map(({ how }) => how)).toEqual(["undelimited"]);
  });

  it.each(ahead)("to QEMU, whose guest runs while most pages are still here: urgent pages %s", async (_, names) => {
    let left = 0;
    let requests = 0;
    await tinyHop({
      destination: { capabilities: names },
      giving: (qemu, vault) => ({
        options: {
          capabilities: switchedOn(names),
          parameters: { "max-bandwidth": 1 << 20, "max-postcopy-bandwidth": 2 << 20 },
          sliceBytes: 64 * 1024,
        },
        async act(migration) {
          await qemu.until(() => migration.state.status === "active", "the first pages");
          migration.startPostcopy();
          await qemu.until(() => migration.state.status === "postcopy-active", "the package");
          expect((await stateOf(qemu)).guest).toBe("running");
          left = migration.statistics().ram.remaining;
          await qemu.until(() => migration.state.status !== "postcopy-active", "the last page");
          requests = vault.ram.statistics().sent?.postcopyRequests ?? 0;
        },
      }),
    });
    expect(left).toBeGreaterThan(4 << 20);
    expect(requests).toBeGreaterThan(0);
  });
});

/** Counts that each of two QEMUs must see. */
const each = 2;

describe.skipIf(!haveQemu("s390x", "ppc64"))("other machines through a vault, live", patience, () => {
  const machines: [QemuTarget, string, Uint8Array, readonly string[], readonly string[]][] = [
    [
      "s390x",
      "s390x.elf",
      s390xKernel(),
      s390Options,
      ["s390_css/0", "/fe.0.0003/virtio-rng/0", "/fe.0.0001/virtio-net/0"],
    ],
    ["ppc64", "ppc64.bin", ppc64Firmware(), pseriesOptions, ["spapr/0", "ics/0"]],
  ];

  it.each(machines)("%s", async (machine, file, image, words, described) => {
    const guest = fileOf(folder, file, image);
    const options = words.map((word) => word.replace("GUEST", guest));
    const vault = createVault();
    await using source = await Qemu.start({ target: machine, options, capabilities: waits });
    await source.until(() => counts(source.serial).length >= each, "counting");
    const taken = await take(vault, source);
    expect(taken.state).toEqual({ status: "completed" });
    const held = new Map(vault.held.map((one) => [one.section, one.how]));
    for (const section of described) expect(held.get(section), section).toBe("described");
    await using destination = await Qemu.start({ target: machine, options, incoming: true });
    expect((await give(vault, destination)).state).toEqual({ status: "completed" });
    await destination.until(() => counts(destination.serial).length >= each, "counting");
    expect(goesOn(source.serial, destination.serial).gaps, "what the guest counted").toEqual([]);
    expect(destination.stderr).not.toMatch(/error|fail/i);
  });
});
