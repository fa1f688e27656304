// A program of a user's, in JavaScript as it is: a machine of one device and some RAM migrates over a pair of message ports.
import { createKernel, u32, virtualClock, vmstate } from "@godwit/core";
import { incomingMigration, outgoingMigration } from "@godwit/migration";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { messagePortChannel } from "@godwit/transport/message-port";

const counter = vmstate({ name: "counter", version: 1, fields: { value: u32 } });

function machine() {
  let memory = new Uint8Array(65_536);
  const own = { value: 0, sum: () => memory.reduce((sum, byte) => sum + byte, 0), fill: () => memory.fill(7) };
  const kernel = createKernel({
    machineType: "bundled",
    clock: virtualClock(() => BigInt(Math.round(performance.now() * 1e6))),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  const block = ramBlock({
    idstr: "ram",
    bytes: () => memory,
    adopt: (incoming) => {
      memory = incoming;
    },
    tracker: barrierTracker(memory.length),
    map: [{ gpa: 0, offset: 0, length: memory.length }],
  });
  kernel.use(ram({ blocks: [block] }));
  kernel.device(counter, {
    save: () => ({ value: own.value }),
    load: ({ value }) => {
      own.value = value;
    },
  });
  return { kernel, own };
}

const clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** What has become of both sides, and what the destination holds. */
export async function run() {
  const [source, destination] = [machine(), machine()];
  source.own.value = 42;
  source.own.fill();
  source.kernel.resume();
  const { port1, port2 } = new MessageChannel();
  const incoming = incomingMigration({
    machine: destination.kernel,
    clock,
    accept: async () => messagePortChannel(port2),
  });
  const outgoing = outgoingMigration({
    machine: source.kernel,
    clock,
    connect: async () => messagePortChannel(port1),
    yieldToHost: () => new Promise((resolve) => setTimeout(resolve, 0)),
  });
  const [here, there] = await Promise.all([outgoing.run(), incoming.run()]);
  return `${here.state.status}, ${there.state.status}, ${destination.own.value}, ${destination.own.sum()}`;
}
