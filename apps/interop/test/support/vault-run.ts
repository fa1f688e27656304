// A guest on its way from a QEMU into a vault, and out of it into another QEMU, by the engine of `@godwit/migration`.
import { join } from "node:path";
import {
  type DestinationReport,
  type HostClock,
  type IncomingMigration,
  type IncomingOptions,
  incomingMigration,
  type OutgoingMigration,
  type OutgoingOptions,
  outgoingMigration,
  type SourceReport,
} from "@godwit/migration";
import type { Channel, Listener, Transport } from "@godwit/transport";
import { unix } from "@godwit/transport/unix";
import type { Vault } from "godwit/vault";
import type { Qemu } from "../../src/qemu.ts";

export const hostClock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Of a QEMU that hangs. Milliseconds. */
const peerTimeoutMs = 20_000;

/** How a QEMU and a vault come together. Addresses as QEMU wants them, and as we do. */
export interface Road {
  listen(): Promise<{ readonly listener: Listener; readonly qemuUri: string }>;
  /** QEMU begins to take connections; makes one. */
  await(qemu: Qemu): Promise<() => Promise<Channel>>;
}

function unixRoad(folder: string): Road {
  const uri = `unix:${join(folder, "road")}`;
  return {
    listen: async () => ({ listener: await unix.listen(uri), qemuUri: uri }),
    async await(qemu) {
      await qemu.qmp("migrate-incoming", { uri });
      return () => unix.connect(uri);
    },
  };
}

/** Over a port of this machine, which whoever listens chooses. */
export function portRoad(transport: Transport): Road {
  const { scheme } = transport;
  return {
    async listen() {
      const listener = await transport.listen(`${scheme}:127.0.0.1:0`);
      return { listener, qemuUri: listener.uri.replace(scheme, "tcp") };
    },
    async await(qemu) {
      await qemu.qmp("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
      const { "socket-address": [at] = [] } = await qemu.qmp<{ "socket-address"?: { port: string }[] }>(
        "query-migrate",
      );
      return () => transport.connect(`${scheme}:127.0.0.1:${at?.port}`);
    },
  };
}

export interface Taking {
  readonly road?: Road;
  readonly options?: Partial<IncomingOptions>;
  prepare?(vault: Vault): void;
  done?(report: DestinationReport): void;
  /** Between us and each connection that is accepted. */
  through?(channel: Channel): Channel;
  /** While the machine comes. */
  act?(migration: IncomingMigration): Promise<void>;
}

/** Takes the machine of a QEMU that runs. What happened is in the report, and QEMU's own word in `query-migrate`. */
export async function take(vault: Vault, qemu: Qemu, taking: Taking = {}): Promise<DestinationReport> {
  const { road = unixRoad(qemu.folder), through = (channel) => channel } = taking;
  const { listener, qemuUri } = await road.listen();
  try {
    taking.prepare?.(vault);
    const migration = incomingMigration({
      machine: vault,
      ram: vault.ram,
      clock: hostClock,
      peerTimeoutMs,
      accept: async () => through(await listener.accept()),
      ...taking.options,
    });
    const done = migration.run();
    await qemu.qmp("migrate", { uri: qemuUri });
    await taking.act?.(migration);
    return await done;
  } finally {
    await listener.close();
  }
}

export interface Giving {
  readonly road?: Road;
  readonly options?: Partial<OutgoingOptions>;
  through?(channel: Channel): Channel;
  act?(migration: OutgoingMigration): Promise<void>;
}

/** Gives the machine to a QEMU that waits for one. */
export async function give(vault: Vault, qemu: Qemu, giving: Giving = {}): Promise<SourceReport> {
  const { road = unixRoad(qemu.folder), through = (channel) => channel } = giving;
  const connect = await road.await(qemu);
  const migration = outgoingMigration({
    machine: vault,
    ram: vault.ram,
    clock: hostClock,
    peer: "qemu",
    peerTimeoutMs,
    parameters: { "max-bandwidth": 0 },
    connect: async () => through(await connect()),
    yieldToHost: () => new Promise((resolve) => setImmediate(resolve)),
    ...giving.options,
  });
  const done = migration.run();
  await giving.act?.(migration);
  return await done;
}

/** Everything that QEMU has sent until it stopped in `pre-switchover` was taken in, and nothing was wrong with it. */
export async function goodSoFar(qemu: Qemu, migration: IncomingMigration): Promise<void> {
  const { ram } = await qemu.qmp<{ ram?: { transferred: number } }>("query-migrate");
  const sentBytes = ram?.transferred ?? Number.POSITIVE_INFINITY;
  await qemu.until(
    () => migration.state.status !== "active" || migration.statistics().receivedBytes >= sentBytes,
    "all",
  );
  if (migration.state.status !== "active") throw new Error(`the vault is ${migration.state.status}`);
}

/** QEMU's word for its migration when that is over, and whether its guest runs. */
export async function endOf(qemu: Qemu): Promise<{ readonly migration: string; readonly guest: string }> {
  // Its last words come a moment after the last byte.
  const ends = ["completed", "failed", "cancelled", "none"];
  await qemu.until(async () => ends.includes((await stateOf(qemu)).migration), "an end");
  return stateOf(qemu);
}

export async function stateOf(qemu: Qemu): Promise<{ readonly migration: string; readonly guest: string }> {
  const { status: migration = "none" } = await qemu.qmp<{ status?: string }>("query-migrate");
  const { status: guest } = await qemu.qmp<{ status: string }>("query-status");
  return { migration, guest };
}
