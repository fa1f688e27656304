// What both processes tell the engine, by QEMU's names.
import type { Capabilities, MigrationParameters } from "@godwit/migration";
import type { RoleOptions } from "./messages.ts";

const mib = 1024 * 1024;
/**
 * Until the guest runs over there, next to nothing is sent that nobody asked for: bytes per second. Else what is shown,
 * that it runs without its memory, would depend on how long the destination takes to check and load.
 */
const beforeItRuns = 16 * 1024;

export function capabilitiesOf({ mode, autoConverge }: RoleOptions): Partial<Capabilities> {
  return { "auto-converge": autoConverge, multifd: mode === "multifd", "postcopy-ram": mode === "postcopy" };
}

export function parametersOf(options: RoleOptions): Partial<MigrationParameters> {
  return {
    "max-bandwidth": options.bandwidthMiBps * mib,
    // Post-copy is begun behind the first round, also where all that is left would fit into the pause.
    "downtime-limit": options.mode === "postcopy" ? 0 : options.downtimeLimitMs,
    "max-postcopy-bandwidth": beforeItRuns,
    "multifd-channels": options.channels,
    // Larger steps than QEMU's: a demonstration is over in seconds.
    "cpu-throttle-initial": 40,
    "cpu-throttle-increment": 20,
  };
}

/** Between the first round and the switch, while the guest dirties what will follow it. */
export const whileItDirties: Partial<MigrationParameters> = { "max-bandwidth": beforeItRuns };

/** Post-copy, from the guest's first instruction over there on. */
export function parametersWhenItRuns({ bandwidthMiBps }: RoleOptions): Partial<MigrationParameters> {
  return { "max-postcopy-bandwidth": bandwidthMiBps * mib };
}
