// Mode postcopy: lets the guest dirty enough, and then lets it go ahead of its pages.
import type { OutgoingMigration } from "@godwit/migration";
import { whileItDirties } from "./engine.ts";
import { GuestTrouble, type Host } from "./host.ts";
import type { Message } from "./messages.ts";

/** What the guest dirties before it goes, and how long it may take. */
const pagesToFollow = 1000;
const dirtyingPatienceMs = 5000;

type Going = Pick<OutgoingMigration, "state" | "setParameters" | "startPostcopy" | "cancel">;
type Tell = (message: Message) => void;

/**
 * All of memory has been sent once; what changes from now on follows the guest. That must be much beside the few pages
 * that checks and loads look at, however fast this host and its guest are: so the guest's pages are counted. What fails
 * on the way is told, and ends the migration.
 */
export async function goAhead(host: Pick<Host, "guest" | "until">, migration: Going, tell: Tell): Promise<void> {
  try {
    await dirty(host, migration);
    if (migration.state.status === "active") migration.startPostcopy();
  } catch (error) {
    tell({ event: "failed", text: error instanceof Error ? error.message : String(error) });
    migration.cancel();
  }
}

async function dirty(host: Pick<Host, "guest" | "until">, migration: Going): Promise<void> {
  migration.setParameters(whileItDirties);
  const before = host.guest()?.poolVisits ?? 0;
  const beganMs = performance.now();
  const isEnough = (visits: number, poolPages: number): boolean =>
    visits >= Math.min(poolPages, pagesToFollow) || performance.now() - beganMs >= dirtyingPatienceMs;
  try {
    await host.until(({ poolVisits, poolPages }) => isEnough(poolVisits - before, poolPages));
  } catch (error) {
    // The examination tells of it.
    if (!(error instanceof GuestTrouble)) throw error;
  }
}
