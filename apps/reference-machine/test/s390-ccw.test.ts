// The profile s390-ccw: moves at any instant of channel I/O, with the evidence whole.
import { type Description, decodeState, isMigrationError, type StateOf } from "@godwit/core";
import { virtioBlkCcwFamily } from "@godwit/virtio-blk/ccw";
import { cssFamily } from "@godwit/virtio-ccw";
import { virtioNetCcwFamily } from "@godwit/virtio-net/ccw";
import { describe, expect, it } from "vitest";
import { checkBlock } from "../src/evidence.ts";
import type { BootParameters } from "../src/guest/boot-block.ts";
import { readChannelBlock } from "../src/guest/channel-block.ts";
import { readStatusBlock } from "../src/guest/status-block.ts";
import { cssDescription } from "../src/machine/channel-reports.ts";
import { channelIoDescription } from "../src/machine/channel-section.ts";
import type { ChannelSubsystem } from "../src/machine/channel-subsystem.ts";
import type { ReferenceMachine } from "../src/machine/machine.ts";
import { CHANNEL_IRQ, ERROR_CHANNEL_REPORT, ERROR_LOST_INTERRUPT, RAM_BASE } from "../src/memory-map.ts";
import { evidence, runUntil, sharedHost } from "./shared-host.ts";
import { readByOwnVmdesc, sectionIn, withState } from "./support/own-vmdesc.ts";

const memoryBytes = 1 << 20;
const guest: BootParameters = {
  seed: 23,
  useIommu: false,
  dirtyPagesPerSecond: 2_000,
  blocksPerSecond: 0,
  maxBlocks: 0,
};

type Host = ReturnType<typeof sharedHost>;
const machineOf = (host: Host, more: Parameters<Host["machine"]>[0] = {}): ReferenceMachine =>
  host.machine({ profile: "s390-ccw", memoryBytes, ...more });

function channelsOf(machine: ReferenceMachine): ChannelSubsystem {
  if (machine.channels === undefined) throw new Error("no channel subsystem");
  return machine.channels;
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return new Uint8Array(Buffer.concat(parts));
}

/** Stands at once, between two instructions; what the disk has is waited for. */
async function stop(machine: ReferenceMachine): Promise<Uint8Array> {
  machine.kernel.pause();
  await machine.kernel.quiesce();
  return bytesOf(machine.kernel.save());
}

/** A stream of a guest that is at work. */
async function atWork(host: Host): Promise<Uint8Array> {
  const machine = machineOf(host);
  machine.boot(guest);
  machine.kernel.resume();
  await runUntil(machine, 20);
  return stop(machine);
}

async function settled(work: ReturnType<Host["work"]>): Promise<void> {
  for (const until = Date.now() + 30_000; !work.isSettled(); ) {
    if (Date.now() > until) throw new Error("the guest does not do what the host wants");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  work.stop();
}

/** Goes on from the stream, or boots, a few instructions at a time, and stops as soon as `here` holds. */
async function stopWhere(
  host: Host,
  from: Uint8Array | "boot",
  here: (machine: ReferenceMachine, channels: ChannelSubsystem) => boolean,
  more: Parameters<Host["machine"]>[0] = {},
): Promise<Uint8Array> {
  const machine = machineOf(host, { sliceSteps: 3, ...more });
  if (from === "boot") machine.boot(guest);
  else await machine.kernel.load(from);
  machine.kernel.resume();
  for (let turns = 0; !here(machine, channelsOf(machine)); turns++) {
    if (turns > 1_000_000) throw new Error(`never there: ${JSON.stringify(readStatusBlock(machine.ram()))}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return stop(machine);
}

/** The host's disk, whose writes wait until they are released. */
function slowDisk(host: Host) {
  const waiting: (() => void)[] = [];
  let turns = 0;
  return {
    backend: {
      sizeBytes: host.image.length,
      read: (sector: number, into: Uint8Array) =>
        into.set(host.image.subarray(512 * sector, 512 * sector + into.length)),
      async write(sector: number, bytes: Uint8Array) {
        turns = 0;
        await new Promise<void>((resolve) => waiting.push(resolve));
        host.image.set(bytes, 512 * sector);
        host.writes.push(checkBlock(bytes, guest.seed));
      },
      flush() {},
    },
    held: () => waiting.length,
    /** Long after the last write has come: the guest waits for it. */
    isIdle: () => ++turns > 20_000,
    release() {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

/** Loads the stream and lets the guest get on; then all evidence must be whole. */
async function goesOn(host: Host, stream: Uint8Array, blocks = 40) {
  const machine = machineOf(host);
  await machine.kernel.load(stream);
  const before = readStatusBlock(machine.ram())?.blocksCompleted ?? 0;
  const counts = readChannelBlock(machine.ram());
  machine.kernel.resume();
  await runUntil(machine, before + blocks);
  const next = await stop(machine);
  const { clean, status, verdicts } = evidence(host, machine, guest.seed);
  expect({ clean, errors: status.errorCount }).toEqual({ clean: true, errors: 0 });
  expect(verdicts.blocks.intact).toBeGreaterThanOrEqual(before + blocks);
  return { machine, next, counts, after: readChannelBlock(machine.ram()) };
}

const stateIn = <S>(stream: Uint8Array, idstr: string, description: Description<S>): S =>
  decodeState(description as Description, sectionIn(stream, idstr).bytes) as S;

const channelIoIn = (stream: Uint8Array) => stateIn(stream, "godwit-channel-io", channelIoDescription);
const reportsIn = (stream: Uint8Array) => stateIn(stream, "s390_css", cssDescription);

const blkSection = "/fe.0.0001/virtio-blk";
const netSection = "/fe.0.0002/virtio-net";

/** What the channel has of the disk, and of the network card. */
function diskIn(stream: Uint8Array) {
  const { idstr, bytes } = sectionIn(stream, blkSection);
  const description = virtioBlkCcwFamily.build(virtioBlkCcwFamily.infer({ idstr, instance: 0, version: 2, bytes }));
  return decodeState(description, bytes).transport;
}

function cardIn(stream: Uint8Array) {
  const { idstr, bytes } = sectionIn(stream, netSection);
  const description = virtioNetCcwFamily.build(virtioNetCcwFamily.infer({ idstr, instance: 0, version: 11, bytes }));
  return decodeState(description, bytes).transport;
}

/** The RAM that a stream brings. */
async function ramOf(host: Host, stream: Uint8Array): Promise<Uint8Array> {
  const machine = machineOf(host);
  await machine.kernel.load(stream);
  return machine.ram();
}

function bytesFrom(ram: Uint8Array, address: bigint, length: number): number[] {
  const at = Number(address) - RAM_BASE;
  return [...ram.subarray(at, at + length)];
}

function byteAt(ram: Uint8Array, address: bigint): number {
  return bytesFrom(ram, address, 1)[0] as number;
}

const scswPending = 1;
const endedGood = { ctrl: 0x4007, dstat: 0x0c };

describe("s390-ccw", () => {
  it("goes on in another machine, three hops, evidence whole; both kinds of interruptions at work", async () => {
    const host = sharedHost(guest.seed);
    const machine = machineOf(host, { memoryBytes: 4 << 20 });
    machine.boot({ ...guest, dirtyPagesPerSecond: 20_000 });
    machine.kernel.resume();
    const doing = host.work(machine);
    doing.start();
    await runUntil(machine, 60);
    doing.stop();
    await machine.kernel.quiesce();
    machine.kernel.pause();
    let from = machine;
    let next = await bytesOf(machine.kernel.save());
    for (let hop = 0; hop < 3; hop++) {
      const target = machineOf(host, { memoryBytes: 4 << 20 });
      const report = await target.kernel.load(next);
      expect(report.notes).toEqual([]);
      expect(Buffer.compare(target.ram(), from.ram())).toBe(0);
      const before = { ...evidence(host, target, guest.seed).status, ...readChannelBlock(target.ram()) };
      target.kernel.resume();
      const work = host.work(target);
      work.start();
      await runUntil(target, before.blocksCompleted + 50);
      work.finish();
      await settled(work);
      await target.kernel.quiesce();
      target.kernel.pause();
      const { clean, status, verdicts } = evidence(host, target, guest.seed);
      for (const kind of ["draws", "lines", "scsi"] as const) {
        const figure = { draws: "draws", lines: "linesCompleted", scsi: "scsiCompleted" } as const;
        expect(status[figure[kind]], kind).toBeGreaterThan(before[figure[kind]]);
      }
      expect(verdicts.blocks.intact).toBeGreaterThanOrEqual(before.blocksCompleted + 50);
      expect({ clean, errors: status.errorCount }).toEqual({ clean: true, errors: 0 });
      const after = readChannelBlock(target.ram());
      for (const kind of ["programs", "subchannelInterruptions", "adapterInterruptions", "reports"] as const)
        expect(after[kind], kind).toBeGreaterThan(before[kind]);
      // The next one goes while the host wants something.
      target.kernel.resume();
      work.start();
      work.changeTarget();
      await runUntil(target, status.blocksCompleted + 10);
      work.stop();
      await target.kernel.quiesce();
      target.kernel.pause();
      next = await bytesOf(target.kernel.save());
      from = target;
    }
    expect(diskIn(next)).toMatchObject({
      revision: 2,
      parent_obj: { sch: { thinint_active: false } },
    });
    expect(cardIn(next)).toMatchObject({
      revision: 2,
      parent_obj: { sch: { thinint_active: true } },
    });
  });

  it("writes a stream whose own description finds and names every section", async () => {
    const host = sharedHost(guest.seed);
    const machine = machineOf(host);
    machine.boot(guest);
    machine.kernel.resume();
    await runUntil(machine, 5);
    const stream = await stop(machine);
    const { sections, described } = readByOwnVmdesc(stream);
    expect(new Set(sections.map(({ delimitedBy }) => delimitedBy))).toEqual(new Set(["vmdesc"]));
    expect(sections.map(({ idstr }) => idstr)).toEqual(described.map(({ name }) => name));
    expect(sections.map(({ idstr }) => idstr)).toEqual([
      "timer",
      "riscv-hart",
      "godwit-irqchip",
      "riscv-mtimer",
      "s390_css",
      "godwit-channel-io",
      "/fe.0.0001/virtio-blk",
      "/fe.0.0002/virtio-net",
      "/fe.0.0003/virtio-rng",
      "/fe.0.0004/virtio-balloon",
      "/fe.0.0005/virtio-console",
      "/fe.0.0006/virtio-scsi",
      "/fe.0.0006/0:0:0/scsi-disk",
    ]);
    const report = await machineOf(host).kernel.load(stream);
    expect(report.sections.filter(({ phase }) => phase === "full").map(({ idstr }) => idstr)).toEqual(
      sections.map(({ idstr }) => idstr),
    );
    // The plugin's own tool comes to the same: one image, virtio's.
    const css = sectionIn(stream, "s390_css");
    expect(cssFamily.infer({ idstr: "s390_css", instance: 0, version: 1, bytes: css.bytes })).toEqual({
      images: [0xfe],
    });
  });
});

describe("s390-ccw's channel subsystem", () => {
  it("is refused where it cannot be, and nothing changes", async () => {
    const host = sharedHost(guest.seed);
    const stream = await atWork(host);
    const target = machineOf(host);
    const untouched = target.kernel.snapshot();
    const wrong = [
      withState(stream, "godwit-channel-io", channelIoDescription, (state) => ({
        ...state,
        pending_count: 1,
        pending: [{ schid: 0, intparm: 0, isc: 8 }],
      })),
      withState(stream, "s390_css", cssDescription, (state) => ({ ...state, default_cssid: 0 })),
    ];
    const refusals: unknown[] = [];
    for (const bytes of wrong) {
      const error = await target.kernel.load(bytes).catch((reason: unknown) => reason);
      refusals.push(isMigrationError(error) ? [error.code, error.location.section, error.location.path] : error);
    }
    expect(refusals).toEqual([
      ["DEVICE_CHECK", "godwit-channel-io/0", "pending[0].isc"],
      ["DEVICE_CHECK", "s390_css/0", "css"],
    ]);
    expect(Buffer.compare(target.kernel.snapshot(), untouched)).toBe(0);
  });

  it("and its devices are reset with the machine: the guest boots again", async () => {
    const host = sharedHost(guest.seed);
    const machine = machineOf(host);
    const fresh = channelsOf(machine).save();
    machine.boot(guest);
    machine.kernel.resume();
    await runUntil(machine, 20);
    await stop(machine);
    expect(channelsOf(machine).save()).not.toEqual(fresh);
    machine.ram().fill(0);
    machine.boot(guest);
    expect(channelsOf(machine).save()).toEqual(fresh);
    expect(channelsOf(machine).reports.save()).toMatchObject({ pending_crws: [], do_crw_mchk: true });
    machine.kernel.resume();
    expect((await runUntil(machine, 20)).errorCount).toBe(0);
    await stop(machine);
  });
});

describe("a migration between two instructions of the guest", () => {
  const programEnded = (_: ReferenceMachine, channels: ChannelSubsystem) => channels.save().pending.length > 0;

  it("at boot, after SSCH: the program has ended, and nobody knows", async () => {
    const host = sharedHost(guest.seed);
    const stream = await stopWhere(host, "boot", programEnded);
    expect(channelIoIn(stream).pending).toEqual([{ schid: 0, intparm: 0x4744_0000, isc: 3 }]);
    expect(diskIn(stream).parent_obj.sch.curr_status.scsw).toMatchObject(endedGood);
    expect(await goesOn(host, stream)).toMatchObject({ after: { withoutStatus: 0 } });
  });

  it("at boot, after TPI and before TSCH: told again, and it does no harm", async () => {
    const host = sharedHost(guest.seed);
    let waiting = 0;
    const stream = await stopWhere(host, "boot", (_, channels) => {
      const { pending, outcome } = channels.save();
      const taken = waiting > 0 && pending.length === 0 && outcome === 1;
      waiting = pending.length;
      return taken;
    });
    expect(channelIoIn(stream)).toMatchObject({ pending: [], outcome: 1 });
    expect(diskIn(stream).parent_obj.sch.curr_status.scsw).toMatchObject(endedGood);
    await goesOn(host, stream);
  });

  it("all through the channel programs of a guest at work", async () => {
    const host = sharedHost(guest.seed);
    const from = await atWork(host);
    const { programs } = readChannelBlock(await ramOf(host, from));
    const first = await stopWhere(host, from, (machine) => readChannelBlock(machine.ram()).programs > programs);
    const seen = new Set<string>();
    for (let steps = 1; steps < 1_200; steps += 101) {
      const own = host.fork();
      const stream = await stopWhere(own, first, (machine) => machine.steps() >= steps);
      const { ctrl } = cardIn(stream).parent_obj.sch.curr_status.scsw;
      const told = channelIoIn(stream).pending.some(({ schid }) => schid === 1);
      seen.add(`${(ctrl & scswPending) !== 0 ? "status" : "idle"} ${told ? "told" : "quiet"}`);
      await goesOn(own, stream, 4);
    }
    // The network card's own program: not begun or done, or ended and its interruption pending.
    expect(seen).toContain("idle quiet");
    expect(seen).toContain("status told");
  });

  it("with an adapter's indicators set and not seen", async () => {
    const host = sharedHost(guest.seed);
    const from = await atWork(host);
    const { summary_indicator, indicators } = cardIn(from);
    const stream = await stopWhere(
      host,
      from,
      (machine, channels) =>
        channels.save().adapters !== 0 && bytesFrom(machine.ram(), indicators.addr, 8).some((byte) => byte !== 0),
    );
    expect(channelIoIn(stream).adapters).toBe(0x80 >> 5);
    const ram = await ramOf(host, stream);
    expect(byteAt(ram, summary_indicator.addr)).toBe(1);
    expect(bytesFrom(ram, indicators.addr, 8).some((byte) => byte !== 0)).toBe(true);
    const { counts, after } = await goesOn(host, stream);
    expect(after.adapterInterruptions).toBeGreaterThan(counts.adapterInterruptions);
  });

  it("with an adapter's interruption taken and its summary still set: told again", async () => {
    const host = sharedHost(guest.seed);
    let waiting = 0;
    const stream = await stopWhere(host, await atWork(host), (_, channels) => {
      const { adapters, outcome } = channels.save();
      const taken = waiting !== 0 && adapters === 0 && outcome === 1;
      waiting = adapters;
      return taken;
    });
    expect(channelIoIn(stream).adapters).toBe(0);
    const { summary_indicator } = cardIn(stream);
    const target = machineOf(host.fork(), { sliceSteps: 1 });
    await target.kernel.load(stream);
    expect(byteAt(target.ram(), summary_indicator.addr)).toBe(1);
    target.kernel.resume();
    expect(channelsOf(target).save().adapters).toBe(0x80 >> 5);
    target.kernel.pause();
    await goesOn(host, stream);
  });

  it("with the disk's classic indicator set, and its alert pending", async () => {
    const host = sharedHost(guest.seed);
    const from = await atWork(host);
    const classic = diskIn(from).indicators.addr;
    const stream = await stopWhere(host, from, (machine, channels) => {
      return channels.save().pending.some(({ schid }) => schid === 0) && byteAt(machine.ram(), classic + 7n) !== 0;
    });
    const { scsw } = diskIn(stream).parent_obj.sch.curr_status;
    expect(scsw.ctrl & scswPending).toBe(scswPending);
    const { indicators } = diskIn(stream);
    expect(bytesFrom(await ramOf(host, stream), indicators.addr, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
    await goesOn(host, stream);
  });

  it("with the disk's indicator set behind a program's end, which hides its alert", async () => {
    const host = sharedHost(guest.seed);
    const from = await atWork(host);
    const { addr } = diskIn(from).indicators;
    const disk = slowDisk(host);
    const here = (machine: ReferenceMachine, channels: ChannelSubsystem): boolean => {
      const told = channels.save().pending.some(({ schid }) => schid === 0);
      const isEnd = told && byteAt(machine.ram(), addr + 7n) === 0 && disk.held() > 0;
      // Blocks that are under way end before the machine is saved, and after the program.
      if (isEnd || disk.isIdle()) disk.release();
      return isEnd;
    };
    const stream = await stopWhere(host, from, here, { disk: disk.backend });
    expect(diskIn(stream).parent_obj.sch.curr_status.scsw).toMatchObject(endedGood);
    expect(bytesFrom(await ramOf(host, stream), addr, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
    await goesOn(host, stream);
  });

  it("with a channel report pending, and would notice if it did not come: the canary", async () => {
    const host = sharedHost(guest.seed);
    const from = await atWork(host);
    const stream = await stopWhere(host, from, (_, channels) => channels.reports.next !== undefined);
    expect(reportsIn(stream)).toMatchObject({
      pending_crws: [{ crw: { flags: 0x4402, rsid: 0 } }],
      do_crw_mchk: false,
    });
    const other = host.fork();
    const { counts, after } = await goesOn(host, stream);
    expect(after.reports).toBeGreaterThan(counts.reports);

    const lost = withState(stream, "s390_css", cssDescription, (state) => ({ ...state, pending_crws: [] }));
    await expect(goesOn(other, lost)).rejects.toThrow(`guest error ${ERROR_CHANNEL_REPORT} detail 0`);
  });

  it("would notice a program's end that did not come: the canary", async () => {
    const host = sharedHost(guest.seed);
    const stream = await stopWhere(host, "boot", programEnded);
    const quiet = withState(stream, "godwit-channel-io", channelIoDescription, (state) => ({ ...state, outcome: 0 }));
    const { idstr, bytes } = sectionIn(quiet, blkSection);
    const sample = { idstr, instance: 0, version: 2, bytes };
    const description = virtioBlkCcwFamily.build(virtioBlkCcwFamily.infer(sample));
    const lost = withState(quiet, blkSection, description as Description<StateOf<typeof description>>, (state) => {
      const { scsw } = state.transport.parent_obj.sch.curr_status;
      Object.assign(scsw, { ctrl: 0, dstat: 0 });
      return state;
    });
    await expect(goesOn(host, lost)).rejects.toThrow(`guest error ${ERROR_LOST_INTERRUPT} detail ${CHANNEL_IRQ}`);
  });
});
