// RAM over loopback from process to process: Godwit's engine beside QEMU's own, a bare socket of this runtime and a copy of
// memory; how cost grows with memory and with channels; downtime of a busy machine.
//
//   bun run bench migration --runs 3 --max-mib 1024
//
// `--max-mib` limits the guests, of 64 MiB to 4 GiB; one that free memory does not hold is named and left out. With the
// defaults it takes some minutes; `--runs 1` a third of that, and `--max-mib 4096` much more.
import { parseArgs } from "node:util";
import { qemuVersion } from "../src/qemu.ts";
import { type Busy, qemuDowntime, referenceDowntime, type Stood } from "./migration/downtime.ts";
import { inTurns, type Measured, type Way } from "./migration/in-turns.ts";
import { median } from "./migration/median.ts";
import { availableBytes } from "./migration/memory.ts";
import { transfer } from "./migration/pair.ts";
import { qemuTransfer } from "./migration/qemu-pair.ts";
import { heading, row, times } from "./migration/table.ts";

const mib = 1 << 20;
const comparedMiB = [256, 800];
const growingMiB = [64, 256, 1024, 4096];
const channelCounts = [0, 1, 2, 4, 8];
const channelsMiB = 256;
const busy: readonly Busy[] = [
  { memoryMiB: 64, dirtyMiBps: 24, downtimeLimitMs: 50 },
  { memoryMiB: 64, dirtyMiBps: 200, downtimeLimitMs: 50 },
];

const godwit = (channels = 0): Way => ({
  name: "Godwit to Godwit",
  run: (bytes, file) => transfer("godwit", bytes, file, channels),
});
const qemu = (channels = 0): Way => ({
  name: "QEMU to QEMU",
  run: (bytes, file) => qemuTransfer(bytes, file, channels),
});
const socket: Way = { name: "bare socket", run: (bytes, file) => transfer("socket", bytes, file) };

const rate = ({ gigabytesPerSecond }: Measured): string => gigabytesPerSecond.toFixed(2);

/** In this process, into memory that is there. */
function memoryCopy(bytes: number, runs: number): Measured {
  const source = new Uint8Array(bytes).fill(1);
  const target = new Uint8Array(bytes).fill(2);
  const taken = Array.from({ length: runs }, () => {
    const began = performance.now();
    target.set(source);
    return performance.now() - began;
  });
  const gigabytesPerSecond = bytes / 1e6 / median(taken);
  return { name: "memory copy", gigabytesPerSecond, cpuSecondsPerGigabyte: 1 / gigabytesPerSecond, peakMiB: [] };
}

/** Both sides' memory, what one side has beside it, and the content's file. */
const fits = (bytes: number): boolean => availableBytes() > 4 * bytes;

/** Why a guest is not measured; undefined: it is. */
function leftOut(sizeMiB: number, maxMiB: number): string | undefined {
  if (sizeMiB > maxMiB) return `left out: more than --max-mib ${maxMiB}`;
  return fits(sizeMiB * mib) ? undefined : "left out: more than free memory holds";
}

async function speed(runs: number, maxMiB: number): Promise<void> {
  const heads = ["     GB/s", "of QEMU's", "of socket's", "of copy's", "CPU s/GB", "source's peak", "destination's"];
  for (const sizeMiB of comparedMiB) {
    const bytes = sizeMiB * mib;
    const title = `${sizeMiB} MiB of random content, TCP over loopback, nothing dirtied, no limit of bandwidth`;
    const why = leftOut(sizeMiB, maxMiB);
    if (why !== undefined) {
      console.log(`\n${title}\n${why}`);
      continue;
    }
    const copied = memoryCopy(bytes, runs);
    const moved = await inTurns([godwit(), qemu(), socket], bytes, runs);
    const beside = [moved[1], moved[2], copied].map((one) => one?.gigabytesPerSecond ?? Number.NaN);
    heading(title, heads);
    for (const one of [...moved, copied]) {
      const peaks = one.peakMiB.map((peak) => `${peak.toFixed(0)} MiB`);
      const shares = beside.map((of) => times(one.gigabytesPerSecond, of));
      console.log(row(one.name, [rate(one), ...shares, one.cpuSecondsPerGigabyte.toFixed(2), ...peaks], heads));
    }
  }
  console.log("A bare socket's receiver holds nothing of what it reads.");
}

async function growth(runs: number, maxMiB: number): Promise<void> {
  const heads = ["Godwit GB/s", "QEMU GB/s", "of QEMU's", "Godwit's beyond guest", "QEMU's beyond guest"];
  heading("Guests of growing memory; beyond it, MiB, of source and destination at their peak", heads);
  for (const sizeMiB of growingMiB) {
    const bytes = sizeMiB * mib;
    const why = leftOut(sizeMiB, maxMiB);
    if (why !== undefined) {
      console.log(row(`${sizeMiB} MiB`, [why], []));
      continue;
    }
    const [ours, theirs] = (await inTurns([godwit(), qemu()], bytes, runs)) as [Measured, Measured];
    const beyond = ({ peakMiB }: Measured): string => peakMiB.map((peak) => (peak - sizeMiB).toFixed(0)).join(" / ");
    const share = times(ours.gigabytesPerSecond, theirs.gigabytesPerSecond);
    console.log(row(`${sizeMiB} MiB`, [rate(ours), rate(theirs), share, beyond(ours), beyond(theirs)], heads));
  }
}

async function channels(runs: number): Promise<void> {
  const heads = ["Godwit GB/s", "QEMU GB/s", "of QEMU's", "of Godwit's without"];
  heading(`Channels of multifd, ${channelsMiB} MiB of random content; 0 is without it`, heads);
  const ways = channelCounts.flatMap((count) => [godwit(count), qemu(count)]);
  const measured = await inTurns(ways, channelsMiB * mib, runs);
  const without = measured[0] as Measured;
  for (const [index, count] of channelCounts.entries()) {
    const [ours, theirs] = measured.slice(2 * index) as [Measured, Measured];
    const shares = [theirs, without].map((of) => times(ours.gigabytesPerSecond, of.gigabytesPerSecond));
    console.log(row(`${count} channels`, [rate(ours), rate(theirs), ...shares], heads));
  }
  const fastest = channelCounts
    .map((count, index) => ({ count, gigabytesPerSecond: (measured[2 * index] as Measured).gigabytesPerSecond }))
    .toSorted((a, b) => b.gigabytesPerSecond - a.gigabytesPerSecond)[0];
  console.log(
    `Godwit's best row is ${fastest?.count} channels; by default it is 0 (the capability multifd is off, as QEMU's)`,
  );
}

async function downtime(runs: number): Promise<void> {
  const heads = ["  Godwit ms", "  QEMU ms", "of QEMU's", "Godwit's dirtied MiB/s", "QEMU's"];
  heading(
    "Downtime of a busy guest. Godwit: until its source hears that it runs there; QEMU: until all is sent",
    heads,
  );
  for (const one of busy) {
    const ours: Stood[] = [];
    const theirs: Stood[] = [];
    for (let run = 0; run < runs; run++) {
      ours.push(referenceDowntime(one));
      theirs.push(await qemuDowntime(one));
    }
    const of = (all: readonly Stood[], key: keyof Stood): number => median(all.map((each) => each[key]));
    const [here, there] = [of(ours, "downtimeMs"), of(theirs, "downtimeMs")];
    const dirtied = [ours, theirs].map((all) => of(all, "dirtyMiBps").toFixed(0));
    const name = `${one.memoryMiB} MiB, ${one.dirtyMiBps} MiB/s, limit ${one.downtimeLimitMs} ms`;
    console.log(row(name, [here.toFixed(1), there.toFixed(1), times(here, there), ...dirtied], heads));
  }
}

export default async function benchmark(): Promise<void> {
  const version = qemuVersion("x86_64");
  if (version === undefined) {
    console.log("left out: there is no qemu-system-x86_64 to be measured beside");
    return;
  }
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: { runs: { type: "string", default: "3" }, "max-mib": { type: "string", default: "1024" } },
    allowPositionals: true,
  });
  const [runs, maxMiB] = [Number(values.runs), Number(values["max-mib"])];
  if (!(Number.isInteger(runs) && runs >= 1 && maxMiB >= 64))
    throw new Error("--runs takes a whole number from 1, --max-mib one from 64");
  console.log(`Bun ${process.versions["bun"]}, QEMU ${version}; medians of ${runs}`);
  const failures: unknown[] = [];
  for (const part of [speed, growth, channels, downtime]) {
    await part(runs, maxMiB).catch((error) => {
      console.log(`failed: ${error}`);
      failures.push(error);
    });
  }
  if (failures.length > 0) throw new AggregateError(failures, "a part of the benchmark failed");
}
