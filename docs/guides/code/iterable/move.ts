// The same by the engine, between two machines in one process.
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { memoryPair } from "@godwit/transport";
import { drawingMachine } from "./machine.ts";

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

const source = drawingMachine();
const destination = drawingMachine();
source.kernel.resume();

// #region move
const [here, there] = memoryPair();
const outgoing = outgoingMigration({
  machine: source.kernel,
  clock,
  connect: async () => here,
  sliceBytes: 8 * 1024, // small, so that the guest has many turns
  yieldToHost: async () => source.guest(3),
});
const incoming = incomingMigration({ machine: destination.kernel, clock, accept: async () => there });
const [sent, received] = await Promise.all([outgoing.run(), incoming.run()]);
console.log(`source ${sent.state.status}, destination ${received.state.status}`);
console.log(`the destination runs: ${destination.isRunning}, the source runs: ${source.isRunning}`);
// #endregion

if (destination.picture() !== source.picture()) throw new Error("the picture differs");
if (!destination.isRunning || source.isRunning) throw new Error("not exactly one runs");
