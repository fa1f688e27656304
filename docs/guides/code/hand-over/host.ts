// Two hosts with a log each, one machine that runs in the first, and a line between them that can be cut.
import { createKernel, u32, virtualClock, vmstate } from "@godwit/core";
import {
  createOwnership,
  type HostClock,
  incomingMigration,
  mayRun,
  memoryOwnershipLog,
  outgoingMigration,
} from "@godwit/migration";
import { memoryPair } from "@godwit/transport";

export const id = "00112233445566778899aabbccddeeff"; // the machine's, for ever and on every host

export const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

const counter = vmstate({ name: "counter", version: 1, fields: { count: u32 } });

export function host(name: string) {
  let isRunning = false;
  const state = { count: 0 };
  const kernel = createKernel({
    machineType: "guide-1.0",
    clock: virtualClock(() => 0n),
    machine: {
      pause() {
        isRunning = false;
      },
      resume() {
        isRunning = true;
      },
      reset() {},
    },
  });
  kernel.device(counter, {
    save: () => state,
    load: ({ count }) => {
      state.count = count;
    },
  });
  const log = memoryOwnershipLog(); // a real host takes fileOwnershipLog
  return {
    kernel,
    log,
    state,
    /** What the host knows, and what it does, in a line. */
    async tell() {
      const record = await log.read(id);
      const says = record === undefined ? "no record" : `${record.state} ${record.epoch}`;
      console.log(`${name}: ${says}, may run ${mayRun(record)}, runs ${isRunning}, count ${state.count}`);
    },
  };
}

// #region migrate
/** Hands the machine over. `cut`: the line breaks when that side comes to this state. */
export async function handOver(cut?: { readonly side: "source" | "destination"; readonly at: string }) {
  const [here, there] = [host("here"), host("there")];
  await createOwnership(here.log, id); // once in a machine's life
  here.state.count = 7;
  here.kernel.resume();

  const [line, otherEnd] = memoryPair();
  const outgoing = outgoingMigration({
    machine: here.kernel,
    clock,
    connect: async () => line,
    yieldToHost: () => new Promise((resolve) => setTimeout(resolve, 0)),
    ownership: { machine: id, log: here.log },
  });
  const incoming = incomingMigration({
    machine: there.kernel,
    clock,
    accept: async () => otherEnd,
    ownership: { log: there.log },
  });
  const cutIn = (side: string) => (state: { readonly status: string }) => {
    if (side === cut?.side && state.status === cut.at) line.abort(new Error("the line is cut"));
  };
  outgoing.events.on("status", cutIn("source"));
  incoming.events.on("status", cutIn("destination"));
  const [sent, received] = await Promise.all([outgoing.run(), incoming.run()]);
  console.log(`source ${sent.state.status}, destination ${received.state.status}`);
  await here.tell();
  await there.tell();
  return { here, there, outgoing, incoming };
}
// #endregion
