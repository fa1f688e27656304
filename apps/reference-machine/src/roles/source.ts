// The source process: boots the guest, lets it work, and migrates it away while it goes on.
import { outgoingMigration } from "@godwit/migration";
import { connect } from "@godwit/transport/tcp";
import { STAGE_RUNNING } from "../memory-map.ts";
import { examine } from "./examine.ts";
import { type Host, hostClock, openHost, yieldToHost } from "./host.ts";
import { type RoleOptions, tell } from "./messages.ts";

const pageBytes = 4096;
/** The guest works this long before the migration begins. */
const warmUpMs = 700;
/** After a migration that failed, the guest must get this much further here. */
const blocksAfter = 100;

export async function runSource(options: RoleOptions): Promise<void> {
  const host = await openHost(options);
  const { machine } = host;
  machine.boot({
    seed: options.seed,
    useIommu: options.useIommu,
    dirtyPagesPerSecond: Math.round((options.dirtyRateMiBps * 1024 * 1024) / pageBytes),
    blocksPerSecond: options.blocksPerSecond,
    maxBlocks: 0,
  });
  machine.kernel.resume();
  const beganMs = performance.now();
  await host.until(
    (guest) => guest.stage >= STAGE_RUNNING && guest.blocksCompleted > 0 && performance.now() - beganMs >= warmUpMs,
    () => tell({ event: "warming-up", guest: host.guest() }),
  );

  const migration = outgoingMigration({
    machine: machine.kernel,
    clock: hostClock,
    connect: () => connect(options.uri ?? ""),
    yieldToHost,
    downtimeLimitMs: options.downtimeLimitMs,
    ...(options.bandwidthMiBps > 0 ? { maxBandwidthBytesPerSecond: options.bandwidthMiBps * 1024 * 1024 } : {}),
    sliceBytes: 256 * 1024,
    whenNotConverging: "force",
    ramCounters: () => {
      const { zeroPages = 0, normalPages = 0 } = machine.ramStatistics().sent ?? {};
      return { duplicatePages: zeroPages, normalPages, pageBytes };
    },
  });
  migration.events.on("status", ({ status }) => tell({ event: "status", status }));
  migration.events.on("progress", (statistics) => tell({ event: "progress", statistics, guest: host.guest() }));
  migration.events.on("round", (round) => tell({ event: "round", round }));
  migration.events.on("verdict", (verdict) => tell({ event: "verdict", text: JSON.stringify(verdict) }));
  const { state, statistics, sections } = await migration.run();
  tell({
    event: "sent",
    status: state.status,
    statistics,
    sections,
    ...("error" in state ? { error: state.error.toJSON() } : {}),
  });
  if (state.status === "failed") await goOnHere(host, options);
  await host.close();
}

/** What failed must have changed nothing: the guest goes on where it is, and its evidence is whole. */
async function goOnHere(host: Host, options: RoleOptions): Promise<void> {
  const blocksBefore = host.guest()?.blocksCompleted ?? 0;
  await host.until((guest) => guest.blocksCompleted >= blocksBefore + blocksAfter);
  const guest = await host.stop();
  tell({
    event: "evidence",
    guest,
    blocksBefore,
    ...(await examine(options.folder, host.machine.ram(), guest, options.seed)),
  });
}
