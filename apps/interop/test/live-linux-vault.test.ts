// Linux with a raw disk that it writes to without pause, handed from QEMU through Godwit to QEMU ten times in a row, while it
// runs. Godwit holds the machine alone for a while: the QEMU that it came from is killed before the next one has anything.
import { describe, expect, it } from "vitest";
import { batchBlocks, blockBytes, diskBlocks, isBlock } from "../src/disk-evidence.ts";
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
      for (let hop = 0; hop < hops; hop++) await run.hop(throughVault());
      const { lastCount } = await run.finish();
      // Around the disk at least once: blocks stand over others.
      expect(lastCount * batchBlocks).toBeGreaterThan(diskBlocks);
    },
    patienceMs,
  );

  it(
    "goes on with the memory that Godwit holds: a byte changed there in each block is seen",
    async () => {
      await using run = await LinuxRun.boot(guest ?? expect.unreachable(), settings);
      const change = throughVault(({ memory }) => {
        const ram = memory.get("pc.ram") ?? expect.unreachable("the guest's memory");
        for (let page = 0; page < ram.length; page += blockBytes) {
          if (isBlock(ram.subarray(page, page + blockBytes))) ram[page + 77] = (ram[page + 77] as number) ^ 1;
        }
      });
      await expect(run.hop(change)).rejects.toThrow(/BAD (content|checksum) at block/);
    },
    patienceMs,
  );
});
