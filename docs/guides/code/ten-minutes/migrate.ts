import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { connect, listen } from "@godwit/transport/tcp";
import { machine } from "./machine.ts";

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
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
    here.tick(); // the guest goes on while its memory travels
    return new Promise((resolve) => setTimeout(resolve, 0));
  },
});
const incoming = incomingMigration({ machine: there.kernel, clock, accept: () => listener.accept() });
const [sent, received] = await Promise.all([outgoing.run(), incoming.run()]);
await listener.close();

console.log(`source ${sent.state.status}, destination ${received.state.status}`);
console.log(`here it runs: ${here.isRunning()}; there it runs: ${there.isRunning()}`);
console.log(`the guest went on meanwhile: ${here.tell() !== before}`);
console.log(`the same machine: ${here.tell() === there.tell()}`);
