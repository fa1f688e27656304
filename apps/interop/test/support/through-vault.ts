// Godwit in the middle: a vault takes the running machine from one QEMU, holds it alone, and gives it to the next.
import { setImmediate as nextTurn } from "node:timers/promises";
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { connect, listen } from "@godwit/transport/unix";
import { createVault, type Vault } from "godwit/vault";
import type { Qemu } from "../../src/qemu.ts";
import type { Middle } from "./linux-run.ts";

const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

/** What a QEMU needs that gives its machine to a vault. */
export const vaultCapabilities: readonly string[] = ["return-path", "pause-before-switchover"];

/** `meanwhile`: while the vault holds the only machine. */
export const throughVault =
  (meanwhile: (vault: Vault) => void = () => {}): Middle =>
  async (source, destination, left) => {
    const vault = createVault();
    const listener = await listen(`unix:${source.folder}/vault`);
    try {
      const incoming = incomingMigration({ machine: vault, clock, accept: () => listener.accept() });
      const sending = sent(source, listener.uri);
      // Where both fail, what the vault says is why.
      sending.catch(() => {});
      const { state, sourceTold } = await incoming.run();
      if ("error" in state) throw state.error;
      if (!sourceTold) throw new Error("the QEMU that gave the machine may run it as well");
      await sending;
    } finally {
      await listener.close();
    }
    // The source is gone before the destination has anything: the vault holds the only machine.
    await left();
    meanwhile(vault);
    const uri = `unix:${await destination.listen()}`;
    const outgoing = outgoingMigration({
      machine: vault,
      clock,
      peer: "qemu",
      connect: () => connect(uri),
      yieldToHost: () => nextTurn(),
      parameters: { "max-bandwidth": 0 },
    });
    const { state } = await outgoing.run();
    if ("error" in state) throw state.error;
    await destination.migrated();
  };

/** Sends the machine while it runs; it is asked to go on when it stands, and has nothing under way at its disk. */
async function sent(source: Qemu, uri: string): Promise<void> {
  await source.qmp("migrate", { uri });
  const status = async () => (await source.qmp<{ status?: string }>("query-migrate")).status;
  await source.until(async () => ["pre-switchover", "failed"].includes((await status()) ?? ""), "pre-switchover");
  if ((await status()) === "pre-switchover") await source.qmp("migrate-continue", { state: "pre-switchover" });
  await source.migrated();
}
