// Linux with a raw disk that it writes to without pause, handed from QEMU to QEMU ten times in a row while it runs: what to
// compare with when it goes through Godwit.
import { describe, expect, it } from "vitest";
import { counts } from "../src/counts.ts";
import { batchBlocks, diskBlocks } from "../src/disk-evidence.ts";
import { directly, LinuxRun, linuxGuest, type Middle } from "./support/linux-run.ts";
import { haveQemu } from "./support/live.ts";

const hops = 10;
/** A busy machine takes several times as long as an idle one, which needs 12 seconds. */
const patienceMs = 240_000;
const settings = { parameters: { "max-bandwidth": 1 << 30 } };
const guest = haveQemu("x86_64") ? linuxGuest() : undefined;

/** Keeps the machine as it was, lets the source go on, and gives the destination the old one. */
const tooLate: Middle = async (source, destination, left) => {
  const stream = await source.save();
  const before = counts(source.serial).length;
  await source.qmp("cont");
  await source.until(() => counts(source.serial).length > before + 50, "counting");
  await source.qmp("stop");
  await left();
  await destination.load(stream);
};

describe.skipIf(guest === undefined)("Linux, live, with one disk", () => {
  it(
    `QEMU -> QEMU, ${hops} times: no number lost or repeated, no block lost, torn or repeated`,
    async () => {
      await using run = await LinuxRun.boot(guest ?? expect.unreachable(), settings);
      for (let hop = 0; hop < hops; hop++) await run.hop(directly);
      const { lastCount } = await run.finish();
      // Around the disk at least once: blocks stand over others.
      expect(lastCount * batchBlocks).toBeGreaterThan(diskBlocks);
    },
    patienceMs,
  );

  it(
    "is seen by the evidence when it goes on from what it was",
    async () => {
      await using run = await LinuxRun.boot(guest ?? expect.unreachable(), settings);
      await expect(run.hop(tooLate)).rejects.toThrow(/what the guest counted|BAD/);
    },
    patienceMs,
  );
});
