// The words of migration, asked of QEMU 7.2 itself: parameters, capabilities, and the keys of query-migrate.
import { createKernel, virtualClock } from "@godwit/core";
import {
  type Capability,
  capabilityNames,
  checkedCapabilities,
  checkedParameters,
  defaultParameters,
  incomingMigration,
  type MigrationInfo,
  type MigrationParameters,
  outgoingMigration,
  parameterTable,
} from "@godwit/migration";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { haveStreams } from "@godwit/test-support/streams";
import { memoryPair } from "@godwit/transport";
import { describe, expect, it } from "vitest";
import { Qemu } from "../src/qemu.ts";
import { haveQemu } from "./support/live.ts";
import { tinyOptions, tinyStream } from "./support/tiny.ts";

const target = "x86_64";
/** Of later releases: QEMU 7.2 does not know them. */
const later: readonly string[] = ["avail-switchover-bandwidth"];
/** QEMU 7.2 takes these at any value, and keeps the old one. Its documentation has the bounds that we have. */
const unchecked: readonly string[] = ["multifd-zlib-level", "multifd-zstd-level"];
const start = () => Qemu.start({ target, options: ["-M", "none", "-nodefaults"], stopped: true });

async function takes(qemu: Qemu, parameters: Readonly<Record<string, unknown>>): Promise<boolean> {
  try {
    await qemu.allow([], parameters);
    return true;
  } catch {
    return false;
  }
}

function weTake(parameters: Partial<MigrationParameters>): boolean {
  try {
    checkedParameters(parameters);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!haveQemu(target))("parameters", () => {
  it("have QEMU's defaults", async () => {
    await using qemu = await start();
    const asked = await qemu.qmp<Record<string, unknown>>("query-migrate-parameters");
    const known = Object.entries(defaultParameters).filter(([name]) => !later.includes(name));
    expect(Object.fromEntries(known.map(([name]) => [name, asked[name]]))).toEqual(Object.fromEntries(known));
    for (const name of later) expect(asked).not.toHaveProperty(name);
  });

  const integers = Object.entries(parameterTable).filter(
    ([name, { kind }]) => kind === "integer" && !later.includes(name) && !unchecked.includes(name),
  );
  it.each(integers)("%s has QEMU's bounds", async (name, spec) => {
    if (spec.kind !== "integer") throw new Error("an integer");
    await using qemu = await start();
    const low = spec.notBelow === undefined ? spec.low : Number(defaultParameters[spec.notBelow]);
    // QEMU takes more bytes than a number of JavaScript can tell apart; below zero its counts of bytes wrap around.
    const isBytes = spec.high >= Number.MAX_SAFE_INTEGER / 4;
    const values = isBytes ? [low] : [low - 1, low, spec.high, spec.high + 1];
    if (spec.powerOfTwo) values.push(low * 2, low + 1, low / 2, 1 << 30);
    for (const value of values) {
      const ours = weTake({ [name]: value } as Partial<MigrationParameters>);
      expect(await takes(qemu, { [name]: value }), `${name} ${value}`).toBe(ours);
    }
    expect(values.some((value) => weTake({ [name]: value } as Partial<MigrationParameters>))).toBe(true);
  });

  it("of the throttle are held against each other as QEMU does it", async () => {
    await using qemu = await start();
    const steps = [
      { "max-cpu-throttle": 50 },
      { "cpu-throttle-initial": 60 },
      { "cpu-throttle-initial": 60, "max-cpu-throttle": 55 },
      { "cpu-throttle-initial": 50 },
    ];
    let ours = defaultParameters;
    const taken: boolean[] = [];
    for (const step of steps) {
      try {
        ours = checkedParameters(step, ours);
        taken.push(true);
      } catch {
        taken.push(false);
      }
      expect(await takes(qemu, step), JSON.stringify(step)).toBe(taken.at(-1));
    }
    expect(taken).toEqual([true, false, false, true]);
  });

  it("multifd-compression has QEMU's choices", async () => {
    await using qemu = await start();
    const spec = parameterTable["multifd-compression"];
    for (const choice of [...(spec.kind === "choice" ? spec.choices : []), "lz4", ""]) {
      const ours = weTake({ "multifd-compression": choice } as Partial<MigrationParameters>);
      expect(await takes(qemu, { "multifd-compression": choice }), choice).toBe(ours);
    }
  });
});

describe.skipIf(!haveQemu(target))("capabilities", () => {
  /** Where we say no and QEMU 7.2 yes: later releases refuse the first, and earlier ones refused the second, as we do. */
  const ours: readonly string[] = ["xbzrle multifd", "multifd postcopy-ram"];

  it("are QEMU's, all off, and go together as QEMU's do", async () => {
    await using qemu = await start();
    const listed = await qemu.qmp<{ capability: string; state: boolean }[]>("query-migrate-capabilities");
    const known = new Map(listed.map(({ capability, state }) => [capability, state]));
    expect(capabilityNames.map((name) => known.get(name))).toEqual(capabilityNames.map(() => false));
    for (const a of capabilityNames) {
      for (const b of capabilityNames) {
        if (capabilityNames.indexOf(a) >= capabilityNames.indexOf(b)) continue;
        const isOurs = ours.includes(`${a} ${b}`);
        expect(weAllow(a, b), `${a} ${b}`).toBe(isOurs ? false : await allows(qemu, a, b));
        if (isOurs) expect(await allows(qemu, a, b)).toBe(true);
      }
    }
  });

  function weAllow(...names: Capability[]): boolean {
    try {
      const all = { ram: true, throttle: true, sendOver: true };
      checkedCapabilities(Object.fromEntries(names.map((name) => [name, true])), all, "source");
      return true;
    } catch {
      return false;
    }
  }

  async function allows(qemu: Qemu, ...names: Capability[]): Promise<boolean> {
    const set = (state: boolean) =>
      qemu.qmp("migrate-set-capabilities", { capabilities: names.map((capability) => ({ capability, state })) });
    try {
      await set(true);
    } catch {
      return false;
    }
    await set(false);
    return true;
  }
});

/** A machine of ours that dirties memory for a while; its answers by their status. */
async function ourAnswers(): Promise<Map<string | undefined, MigrationInfo>> {
  const kernelOf = (isSource: boolean) => {
    let bytes = new Uint8Array(64 * 4096);
    const tracker = barrierTracker(bytes.length);
    const block = ramBlock({
      idstr: "pc.ram",
      bytes: () => bytes,
      adopt: (fresh) => {
        bytes = fresh as Uint8Array<ArrayBuffer>;
      },
      tracker,
      map: [{ gpa: 0, offset: 0, length: bytes.length }],
    });
    const machine = { pause() {}, resume() {}, reset() {} };
    const kernel = createKernel({ machineType: "words-1", clock: virtualClock(() => 0n), machine });
    const offer = kernel.use(ram({ blocks: [block] }));
    if (isSource) kernel.resume();
    return { kernel, offer, mark: (at: number) => tracker.mark(at, 4) };
  };
  const here = kernelOf(true);
  const there = kernelOf(false);
  const [a, b] = memoryPair();
  const clock = {
    nowMs: () => performance.now(),
    after(delayMs: number, callback: () => void) {
      const timeout = setTimeout(callback, delayMs);
      return () => clearTimeout(timeout);
    },
  };
  const outgoing = outgoingMigration({
    machine: here.kernel,
    ram: here.offer,
    clock,
    capabilities: { xbzrle: true },
    connect: async () => a,
    yieldToHost: () => new Promise((resolve) => setImmediate(resolve)),
  });
  const incoming = incomingMigration({ machine: there.kernel, clock, accept: async () => b });
  const answers = new Map<string | undefined, MigrationInfo>([[undefined, outgoing.query()]]);
  for (const event of ["status", "round"] as const) {
    outgoing.events.on(event, () => {
      const answer = outgoing.query();
      answers.set(answer.status, answer);
    });
  }
  const [source] = await Promise.all([outgoing.run(), incoming.run()]);
  expect(source.state.status).toBe("completed");
  return answers;
}

/** Every key, and those of what stands below it. */
function keysOf(answer: object): string[] {
  return Object.entries(answer)
    .flatMap(([key, value]) => [
      key,
      ...(typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.keys(value).map((inner) => `${key}.${inner}`)
        : []),
    ])
    .sort();
}

describe.skipIf(!haveQemu(target) || !haveStreams())("query-migrate", () => {
  it("has QEMU's keys: before, while it goes on, and when it is completed", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    const ask = () => qemu.qmp<MigrationInfo>("query-migrate");
    const ours = await ourAnswers();
    await using fresh = await start();
    expect(keysOf(await fresh.qmp<MigrationInfo>("query-migrate"))).toEqual(keysOf(ours.get(undefined) ?? { no: 1 }));
    await qemu.allow(["xbzrle"], { "max-bandwidth": 1 << 20, "downtime-limit": 1 });
    await qemu.qmp("migrate", { uri: "exec:cat > /dev/null" });
    let active = await ask();
    await qemu.until(async () => {
      active = await ask();
      return active.ram !== undefined;
    }, "figures");
    expect(active.status).toBe("active");
    expect(keysOf(active)).toEqual(keysOf(ours.get("active") ?? {}));
    await qemu.allow([], { "max-bandwidth": 0, "downtime-limit": 2000 });
    await qemu.migrated();
    expect(keysOf(await ask())).toEqual(keysOf(ours.get("completed") ?? {}));
  });

  it("has QEMU's keys and values of a throttled guest, a cancelled one and a failed one", async () => {
    await using qemu = await Qemu.start({ target, options: tinyOptions(), stream: tinyStream() });
    const ask = () => qemu.qmp<MigrationInfo>("query-migrate");
    // Slow enough for the guest to write all its pages, some 8 MiB, in the time of a round.
    await qemu.allow(["auto-converge"], { "max-bandwidth": 2 << 20, "downtime-limit": 1 });
    await qemu.qmp("migrate", { uri: "exec:cat > /dev/null" });
    await qemu.until(async () => (await ask())["cpu-throttle-percentage"] !== undefined, "a throttle");
    // The first step, or those behind it where the look came late.
    const percentage = (await ask())["cpu-throttle-percentage"] ?? 0;
    const { "cpu-throttle-initial": initial, "cpu-throttle-increment": increment } = defaultParameters;
    expect([initial, initial + increment, initial + 2 * increment]).toContain(percentage);
    await qemu.qmp("migrate_cancel");
    await qemu.until(async () => (await ask()).status === "cancelled", "the cancel");
    expect(keysOf(await ask())).toEqual(["status"]);
    await qemu.qmp("migrate", { uri: "unix:/nowhere/at/all" });
    await qemu.until(async () => (await ask()).status === "failed", "the failure");
    expect(keysOf(await ask())).toEqual(["error-desc", "status"]);
  });
});
