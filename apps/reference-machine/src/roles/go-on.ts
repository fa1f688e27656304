// What a machine that has arrived, or stayed, must show: the guest goes on, and its evidence is whole.
import type { Verdict } from "../evidence.ts";
import { examine } from "./examine.ts";
import { GuestTrouble, type Host } from "./host.ts";
import { type RoleOptions, tell } from "./messages.ts";

/** The guest must get this much further, and run this long: its own watch for lost interrupts needs two seconds. */
const blocksAfter = 100;
const runMs = 2200;

/** Lets the guest run, stops it, and tells what it left behind. `pool` was examined before it ran on. */
export async function goOn(host: Host, options: RoleOptions, blocksBefore: number, pool: Verdict): Promise<void> {
  const beganMs = performance.now();
  let trouble: string | undefined;
  try {
    await host.until(
      (guest) => guest.blocksCompleted >= blocksBefore + blocksAfter && performance.now() - beganMs >= runMs,
    );
  } catch (error) {
    if (!(error instanceof GuestTrouble)) throw error;
    trouble = error.message;
  }
  const guest = await host.stop();
  const examined = await examine(options.folder, guest, pool, options.seed);
  tell({ event: "evidence", guest, blocksBefore, ...examined, ...(trouble === undefined ? {} : { trouble }) });
}
