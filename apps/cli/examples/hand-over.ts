import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { connect, listen } from "@godwit/transport/unix";
import type { Vault } from "godwit/vault";

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** Takes the machine that a QEMU sends to `uri`. Where this throws before it has it, the machine runs on in its QEMU. */
export async function hold(vault: Vault, uri: string): Promise<void> {
  const listener = await listen(uri);
  try {
    const accept = () => listener.accept();
    const { state, sourceTold } = await incomingMigration({ machine: vault, ram: vault.ram, clock, accept }).run();
    if ("error" in state) throw state.error;
    if (!sourceTold) throw new Error("it is here, and may run in its QEMU as well: ask there, by query-migrate");
  } finally {
    await listener.close();
  }
}

/** Gives it to the QEMU that waits at `uri`. Where this throws `in doubt`, only that QEMU knows whether it has it. */
export async function handOn(vault: Vault, uri: string): Promise<void> {
  const { state } = await outgoingMigration({
    machine: vault,
    ram: vault.ram,
    clock,
    peer: "qemu",
    connect: () => connect(uri),
    yieldToHost: () => new Promise((resolve) => setImmediate(resolve)),
    parameters: { "max-bandwidth": 0 },
  }).run();
  if (state.status === "in-doubt") throw new Error("in doubt", { cause: state.error });
  if ("error" in state) throw state.error;
}
