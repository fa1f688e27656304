// Linux with a raw disk that it writes to without pause, handed from QEMU through Godwit to QEMU ten times in a row, while it
// runs. Godwit holds the machine alone for a while: the QEMU that it came from is killed before the next one has anything.
import { describe, expect, it } from "vitest";
import { batchBlocks, diskBlocks } from "../src/disk-evidence.ts";
import { LinuxRun, linuxGuest } from "./support/linux-run.ts";
import { haveQemu } from "./support/live.ts";
import { throughVault, vaultCapabilities } from "./support/through-vault.ts";

const hops = 10;
/** A busy machine takes several times as long as an idle one, which needs 12 seconds. */
const patienceMs = 240_000;
const settings = { parameters: { "max-bandwidth": 1 << 30 }, capabilities: vaultCapabilities };
const guest = haveQemu("x86_64") ? linuxGuest() : undefined;

describe.skipIf(guest === undefined)("Linux, live, with one disk", () => {
  it(
    `QEMU -> Godwit -> QEMU, ${hops} times: no number lost or repeated, no block lost, torn or repeated`,
    async () => {
      await using run = await LinuxRun.boot(guest ?? expect.unreachable(), settings);
      for (let hop = 0; hop < hops; hop++) await run.hop(throughVault);
      const { lastCount } = await run.finish();
      // Around the disk at least once: blocks stand over others.
      expect(lastCount * batchBlocks).toBeGreaterThan(diskBlocks);
    },
    patienceMs,
  );
});
