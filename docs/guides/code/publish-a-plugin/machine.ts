// A machine that speakers are put into, and one migration from one to another.
import { createKernel, isMigrationError, type Kernel, virtualClock } from "@godwit/core";
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { memoryPair } from "@godwit/transport";

export function emptyMachine(): Kernel {
  return createKernel({
    machineType: "guide-1.0",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
}

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** How it ended at the source, and what did not fit. */
export async function migrate(source: Kernel, destination: Kernel): Promise<string> {
  const [here, there] = memoryPair();
  const outgoing = outgoingMigration({
    machine: source,
    clock,
    connect: async () => here,
    yieldToHost: () => Promise.resolve(),
  });
  const incoming = incomingMigration({ machine: destination, clock, accept: async () => there });
  const [{ state, misfits }] = await Promise.all([outgoing.run(), incoming.run()]);
  if (state.status !== "failed") return state.status;
  const when = misfits.length > 0 ? "before the first page" : "by the load";
  return `failed, refused ${when}\n  ${state.error.message}`;
}

/** What `work` does, or the error that it is told. */
export function told(work: () => string): string {
  try {
    return work();
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return error.message;
  }
}
