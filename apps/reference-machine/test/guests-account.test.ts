// What the destination looks at before the guest's first instruction must not be waited for once nobody can give up.
import { describe, expect, it } from "vitest";
import { RAM_BASE, STATUS_BLOCK_OFFSET } from "../src/memory-map.ts";
import { withGuestsAccount } from "../src/roles/guests-account.ts";
import { runUntil, sharedHost } from "./shared-host.ts";

const command = { listen: 4, run: 5 } as const;
const none = new Uint8Array(0);
const pageBytes = 4096;
const memoryBytes = 1 << 20;

/** Every page is brought that is asked for, but the guest's account. */
async function arriving() {
  const host = sharedHost(7);
  const source = host.machine({ memoryBytes });
  source.boot({ seed: 7, useIommu: true, dirtyPagesPerSecond: 0, blocksPerSecond: 0, maxBlocks: 0 });
  source.kernel.resume();
  await runUntil(source, 8);
  await source.kernel.quiesce();
  source.kernel.pause();
  const target = host.machine({ memoryBytes });
  const out = source.kernel.outgoing();
  const { postcopyDestination } = target.memory;
  const asked: number[] = [];
  let isAccountAsked = (): void => {};
  const accountAsked = new Promise<void>((resolve) => {
    isAccountAsked = resolve;
  });
  const into = target.kernel.incoming({
    onCommand({ command: number }) {
      if (number !== command.listen) return;
      for (const { idstr, ranges } of discards) postcopyDestination.discard(idstr, ranges);
      postcopyDestination.listen((idstr, start) => {
        asked.push(start);
        if (start === STATUS_BLOCK_OFFSET) isAccountAsked();
        else setImmediate(() => bring(idstr, start));
      });
    },
  });
  const bring = (idstr: string, start: number): void => {
    source.memory.postcopySource.request(idstr, start, pageBytes);
    for (const chunk of out.iterate(1)) into.push(chunk);
  };
  for (const chunk of [...out.setup(), ...out.switchOver()]) into.push(chunk);
  const discards = [...source.memory.postcopySource.discards()];
  into.push(out.package([{ command: command.listen, payload: none }], [{ command: command.run, payload: none }]));
  const [{ idstr } = { idstr: "" }] = target.memory.blocks;
  return {
    attempt: withGuestsAccount(into, target.memory),
    target,
    accountAsked,
    bring: () => bring(idstr, STATUS_BLOCK_OFFSET),
  };
}

describe("the guest's account", () => {
  it("is there when the machine is loaded", async () => {
    const { attempt, target, accountAsked, bring } = await arriving();
    const preparing = attempt.prepare();
    await accountAsked;
    bring();
    await preparing;
    await attempt.commit();
    expect(target.memory.absent()?.pages).toBeGreaterThan(0);
    expect(target.memory.memory.read(RAM_BASE + STATUS_BLOCK_OFFSET, 1)).toHaveLength(1);
  });

  it("that never comes can be given up: nothing is loaded", async () => {
    const { attempt, target, accountAsked } = await arriving();
    const before = target.ram();
    const preparing = attempt.prepare();
    await accountAsked;
    attempt.discard();
    await expect(preparing).rejects.toMatchObject({ code: "ATTEMPT_ENDED" });
    expect(target.ram()).toBe(before);
  });
});
