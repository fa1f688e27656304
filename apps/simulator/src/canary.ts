// Rules that are broken on purpose, from outside of the engine: the proof that the simulator can see.
import type { OwnershipLog } from "@godwit/migration";
import type { SimulatedMachine } from "./machine.ts";

/**
 * - `resume-in-doubt`: a source that does not know whether its machine arrived lets it go on.
 * - `run-when-prepared`: a destination runs the machine as soon as it could, and not when it was released.
 * - `forget-dirty-page`: the guest writes to a page that nobody then knows to be dirty.
 * - `skip-released`, `skip-owned`: an ownership log that does not write this record, and says that it is durable.
 * - `run-before-owned`: a destination runs the machine while its record is still being written.
 */
export const canaries = [
  "resume-in-doubt",
  "run-when-prepared",
  "forget-dirty-page",
  "skip-released",
  "skip-owned",
  "run-before-owned",
] as const;

export type Canary = (typeof canaries)[number];

/** From now on this machine, as a destination, runs once its state is checked. */
export function runWhenPrepared({ kernel }: SimulatedMachine): void {
  const begin = kernel.incoming.bind(kernel);
  kernel.incoming = () => {
    const attempt = begin();
    const [prepare, commit] = [attempt.prepare.bind(attempt), attempt.commit.bind(attempt)];
    let committed: ReturnType<typeof commit> | undefined;
    attempt.prepare = async () => {
      await prepare();
      committed = commit();
      await committed;
      kernel.resume();
    };
    attempt.commit = () => committed ?? commit();
    return attempt;
  };
}

/** What a process is given as its ownership log. */
export function skipsRecord(canary: Canary | undefined, log: OwnershipLog): OwnershipLog {
  const skipped = canary === "skip-released" ? "released" : canary === "skip-owned" ? "owned" : undefined;
  if (skipped === undefined) return log;
  return {
    read: (machine) => log.read(machine),
    // The first record of all, which nobody has before, is written.
    write: async (record, previous) => {
      const isOffer = previous === undefined || previous.state === "owned";
      if (record.state === skipped && !(skipped === "owned" && isOffer)) return;
      await log.write(record, previous);
    },
  };
}

/** What this machine's engine is given as its ownership log. */
export function runsEarly(canary: Canary | undefined, log: OwnershipLog, { kernel }: SimulatedMachine): OwnershipLog {
  if (canary !== "run-before-owned") return log;
  return {
    read: (machine) => log.read(machine),
    write: (record, previous) => {
      const writing = log.write(record, previous);
      if (record.state === "owned" && previous?.state === "accepted") kernel.resume();
      return writing;
    },
  };
}
