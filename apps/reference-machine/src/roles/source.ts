// The source process: boots the guest, lets it work, and migrates it away while it goes on.
import { outgoingMigration, type Verdict } from "@godwit/migration";
import { multifdSender } from "@godwit/ram-dirty-tracker";
import { STAGE_RUNNING } from "../memory-map.ts";
import { connectTo } from "./connections.ts";
import { capabilitiesOf, parametersOf, parametersWhenItRuns } from "./engine.ts";
import { examineMachine } from "./examine.ts";
import { goAhead } from "./go-ahead.ts";
import { goOn } from "./go-on.ts";
import { hostClock, openHost, yieldToHost } from "./host.ts";
import { type RoleOptions, tell } from "./messages.ts";
import { firmwareGoesOn, plugUnderLoad } from "./plug.ts";

const pageBytes = 4096;
const throttledRounds = 60;
/** The guest works this long before the migration begins. */
const warmUpMs = 700;

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

  if (machine.hotplug !== undefined) await plugUnderLoad(host, machine.hotplug);

  const migration = outgoingMigration({
    machine: machine.kernel,
    ram: machine.memory,
    clock: hostClock,
    capabilities: capabilitiesOf(options),
    parameters: parametersOf(options),
    connect: () => connectTo(options),
    sendOver: (channels) =>
      machine.memory.sendBy({ multifd: multifdSender({ channels, sync: "round", zeroPages: "packets" }) }),
    yieldToHost,
    sliceBytes: 256 * 1024,
    maxRounds: roundsFor(options),
    whenNotConverging: "force",
  });
  migration.events.on("status", ({ status }) => {
    tell({ event: "status", status });
    if (status === "postcopy-active") migration.setParameters(parametersWhenItRuns(options));
    // Its connection is gone because the other process is: nobody will bring another one.
    if (status === "postcopy-paused") queueMicrotask(() => migration.abandon());
    // Also just before the machine stands, so that a request of the balloon is under way when it does.
    host.work.changeTarget();
  });
  migration.events.on("progress", (statistics) => tell({ event: "progress", statistics, guest: host.guest() }));
  migration.events.on("round", (round) => {
    tell({ event: "round", round });
    if (options.mode === "postcopy" && round.round === 1) void goAhead(host, migration, tell);
  });
  migration.events.on("verdict", (verdict) => tell({ event: "verdict", text: verdictText(verdict) }));
  const { state, statistics, sections } = await migration.run();
  tell({
    event: "sent",
    status: state.status,
    statistics,
    sections,
    ...("error" in state ? { error: state.error.toJSON() } : {}),
  });
  // What failed must have changed nothing: the guest goes on where it is.
  if (state.status === "failed") {
    machine.kernel.pause();
    const arrived = examineMachine(machine);
    const before = { blocks: host.guest()?.blocksCompleted ?? 0, cards: host.cards() };
    firmwareGoesOn(machine.hotplug);
    machine.kernel.resume();
    await goOn(host, options, before, arrived);
  }
  await host.close();
}

function verdictText(verdict: Verdict): string {
  if (verdict.verdict === "converging") return "the guest dirties less than it did: what is left will fit after all";
  const { "downtime-limit": limitMs, "cpu-throttle-percentage": throttle, "postcopy-ram": postcopy } = verdict.help;
  const help = [
    ...(limitMs === undefined ? [] : [`a downtime-limit of ${limitMs} ms`]),
    ...(throttle === undefined ? [] : [`${throttle}% less CPU`]),
    ...(postcopy ? ["post-copy"] : []),
  ];
  const wouldDo = help.length === 0 ? "" : `; ${help.join(" or ")} would do`;
  return `the guest dirties memory faster than it can be sent${wouldDo}`;
}

/**
 * Half of RAM is the pool that the guest keeps dirty: so many times it may be sent in about half a minute. A guest that is
 * slowed down gets more, since its rounds become shorter.
 */
function roundsFor({ bandwidthMiBps, memoryMiB, autoConverge }: RoleOptions): number {
  if (autoConverge) return throttledRounds;
  const passesInTime = Math.floor((30 * bandwidthMiBps) / (memoryMiB / 2));
  return Math.min(Math.max(passesInTime, 1), 8);
}
