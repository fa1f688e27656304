// Every profile runs before its memory is there. Pages come one at a time, in an order that a seed decides; each request
// of each device is done once, as if all memory had been there.
import { describe, expect, it } from "vitest";
import { haveGoneOn, reportCards } from "../src/card-evidence.ts";
import type { BootParameters } from "../src/guest/boot-block.ts";
import { readCardBlocks } from "../src/guest/card-block.ts";
import { type ChannelCounts, readChannelBlock } from "../src/guest/channel-block.ts";
import { type GuestStatus, readStatusBlock } from "../src/guest/status-block.ts";
import type { ReferenceMachine } from "../src/machine/machine.ts";
import { cardNames } from "../src/profiles/cards.ts";
import type { ProfileName } from "../src/profiles/profile.ts";
import { evidence, runUntil, type SharedHost, sharedHost } from "./shared-host.ts";
import { type Moved, moveByPostcopy, seeded } from "./support/postcopy.ts";

const guest: BootParameters = {
  seed: 31,
  useIommu: true,
  dirtyPagesPerSecond: 5000,
  blocksPerSecond: 0,
  maxBlocks: 0,
};

async function until(what: string, machine: ReferenceMachine, enough: () => boolean): Promise<void> {
  const endMs = Date.now() + 30_000;
  while (!enough()) {
    const status = readStatusBlock(machine.ram());
    if (status !== undefined && status.errorCount > 0)
      throw new Error(`guest error ${status.errorCode} detail 0x${status.errorDetail.toString(16)}`);
    if (Date.now() > endMs) throw new Error(`no ${what}: ${JSON.stringify(status)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function stop(machine: ReferenceMachine): Promise<void> {
  await machine.kernel.quiesce();
  machine.kernel.pause();
}

const statusOf = (machine: ReferenceMachine): GuestStatus => {
  const status = readStatusBlock(machine.ram());
  if (status === undefined) throw new Error("the guest has not begun");
  return status;
};

/** Of a machine with peripherals: every kind of request has been done so often since. */
function haveAllWorked(
  before: GuestStatus,
  now: GuestStatus | undefined,
  profile: ProfileName,
  least: number,
): boolean {
  if (now === undefined) return false;
  const kinds: (keyof GuestStatus)[] = ["blocksCompleted", "packetsCompleted"];
  if (profile !== "pseries") kinds.push("draws", "linesCompleted", "linesTaken", "scsiCompleted");
  if (profile === "q35") kinds.push("jobsCompleted");
  return kinds.every((kind) => Number(now[kind]) >= Number(before[kind]) + least);
}

interface Run {
  readonly host: SharedHost;
  readonly target: ReferenceMachine;
  readonly moved: Moved;
  readonly before: GuestStatus;
  readonly channels: ChannelCounts | undefined;
}

/** Boots, works, stops at an instant that the seed decides, and runs elsewhere on nothing but what is asked for. */
async function run(profile: ProfileName, seed: number, useIommu = true): Promise<Run> {
  const random = seeded(seed);
  const host = sharedHost(guest.seed);
  const make = { profile, memoryBytes: profile === "q35" ? 4 << 20 : 1 << 20 } as const;
  // Few instructions a slice: the machine may stand anywhere.
  const source = host.machine({ ...make, sliceSteps: 20 + Math.floor(random() * 2000) });
  source.boot({ ...guest, useIommu: useIommu && profile === "q35" });
  source.kernel.resume();
  const first = host.work(source);
  first.start();
  if (source.hotplug !== undefined) {
    await runUntil(source, 5);
    for (const name of cardNames) source.hotplug.plug(name);
  }
  await runUntil(source, 10 + Math.floor(random() * 40));
  first.changeTarget();
  for (let turns = Math.floor(random() * 20); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  first.stop();
  await stop(source);
  const before = statusOf(source);
  const cards = profile === "pseries" ? readCardBlocks(source.ram()) : [];
  const channels = profile === "s390-ccw" ? readChannelBlock(source.ram()) : undefined;

  const target = host.machine({ ...make, ...(profile === "pseries" && { present: cardNames }) });
  const moved = await moveByPostcopy(source, target, { random, asked: 0.2 + 0.6 * random(), unasked: 0 });
  const work = host.work(target);
  work.start();
  await until("work", target, () => haveAllWorked(before, readStatusBlock(target.ram()), profile, 12));
  if (profile === "pseries") {
    await until("cards", target, () => haveGoneOn(reportCards(cards, readCardBlocks(target.ram()))));
  }
  const missing = moved.missingPages();
  // It got so far on what it asked for.
  expect(missing).toBeGreaterThan(0);
  await moved.finish();
  expect(target.memory.absent()).toBe(undefined);
  await runUntil(target, statusOf(target).blocksCompleted + 10);
  work.finish();
  await until("end of what the host asked for", target, () => work.isSettled());
  work.stop();
  await stop(target);
  return { host, target, moved, before, channels };
}

const seeds = [1, 2, 3, 4, 5];

describe("post-copy", () => {
  it.each(
    (["q35", "s390-ccw", "pseries"] as const).flatMap((profile) => seeds.map((seed) => [profile, seed] as const)),
  )("%s, seed %i: runs on what it asks for, and its evidence is whole", async (profile, seed) => {
    const { host, target, moved, before, channels } = await run(profile, seed);
    const { clean, verdicts, status } = evidence(host, target, guest.seed);
    expect({ verdicts, clean, errors: status.errorCount }).toMatchObject({ clean: true, errors: 0 });
    expect(status.blocksCompleted).toBeGreaterThan(before.blocksCompleted + 20);
    const pages = target.ram().byteLength / 4096;
    // What its devices needed before it could run is little.
    expect(moved.presentAtStart / pages).toBeLessThan(0.2);
    expect(moved.requests()).toBeGreaterThan(10);
    if (channels !== undefined) expect(readChannelBlock(target.ram()).programs).toBeGreaterThan(channels.programs);
  });
});
