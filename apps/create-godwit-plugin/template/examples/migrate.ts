// Moves the running machine into another one, over a channel in memory. `@godwit/transport/tcp` does it between hosts.
import { type DestinationReport, type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { memoryPair } from "@godwit/transport";
import type { Machine } from "./machine.ts";

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** Throws where it did not work; then `from` runs on. */
export async function migrate(from: Machine, to: Machine): Promise<DestinationReport> {
  const [here, there] = memoryPair();
  const outgoing = outgoingMigration({
    machine: from.kernel,
    clock,
    connect: async () => here,
    yieldToHost: () => new Promise((resolve) => setTimeout(resolve, 0)),
  });
  const incoming = incomingMigration({ machine: to.kernel, clock, accept: async () => there });
  const [source, destination] = await Promise.all([outgoing.run(), incoming.run()]);
  if (source.state.status !== "completed") throw new Error(`source: ${JSON.stringify(source.state)}`);
  if (destination.state.status !== "completed") throw new Error(`destination: ${JSON.stringify(destination.state)}`);
  return destination;
}
