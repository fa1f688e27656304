import { type HostClock, incomingMigration, type MigratableMachine, outgoingMigration } from "@godwit/migration";
import { connect, listen } from "@godwit/transport/tcp";

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** Sends a running machine away. `machine` is a kernel of `@godwit/core`. */
export async function send(machine: MigratableMachine, uri: string) {
  const migration = outgoingMigration({
    machine,
    clock,
    connect: () => connect(uri),
    yieldToHost: () => new Promise((resolve) => setImmediate(resolve)),
    parameters: { "downtime-limit": 100, "max-bandwidth": 0 },
  });
  migration.events.on("round", ({ round, bytes, pendingBytes }) => {
    console.log(`round ${round}: ${bytes} bytes sent, ${pendingBytes} dirty again`);
  });
  return migration.run();
}

/** Takes one machine in. `machine` has the same devices, and does not run. */
export async function receive(machine: MigratableMachine, uri: string, listening: (realUri: string) => void) {
  const listener = await listen(uri);
  listening(listener.uri);
  const report = await incomingMigration({ machine, clock, accept: () => listener.accept() }).run();
  await listener.close();
  return report;
}
