// Moves a running machine to another one over TCP, while its guest goes on writing.
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { connect, listen } from "@godwit/transport/tcp";
import { machine } from "./machine.ts";

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const waiting = setTimeout(callback, delayMs);
    return () => clearTimeout(waiting);
  },
};

const [here, there] = [machine(), machine()];
here.kernel.resume();
for (let turn = 0; turn < 300; turn++) here.tick();
const before = here.tell();

const listener = await listen("tcp:127.0.0.1:0");
const outgoing = outgoingMigration({
  machine: here.kernel,
  clock,
  connect: () => connect(listener.uri),
  yieldToHost() {
    here.tick();
    return new Promise((resolve) => setTimeout(resolve, 0));
  },
});
const incoming = incomingMigration({ machine: there.kernel, clock, accept: () => listener.accept() });
const [source, destination] = await Promise.all([outgoing.run(), incoming.run()]);
await listener.close();

const expect = (holds: boolean, what: string) => {
  if (!holds) throw new Error(`${what}\n${JSON.stringify([source.state, destination.state, source.misfits])}`);
};
expect(source.state.status === "completed" && destination.state.status === "completed", "it did not complete");
expect(here.tell() !== before, "the guest stood still meanwhile");
expect(here.tell() === there.tell(), `another machine arrived: ${here.tell()}; ${there.tell()}`);
expect(there.isRunning() && !here.isRunning(), "not exactly the destination's machine runs");
console.log("migrated");
