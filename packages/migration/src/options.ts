// The options of both sides, and their defaults.
import { migrationError } from "./codes.ts";
import type { Channel, HostClock, MigratableMachine, RamCounters } from "./host.ts";

interface CommonOptions {
  readonly machine: MigratableMachine;
  readonly clock: HostClock;
  /** How long the peer may say nothing, or take nothing. Milliseconds, default 30,000. */
  readonly peerTimeoutMs?: number;
}

export interface OutgoingOptions extends CommonOptions {
  connect(): Promise<Channel>;
  /** Lets the guest, and everything else in the program, have a turn; called after every slice. */
  yieldToHost(): Promise<void>;
  /** What RAM's handler counted so far, for the statistics. */
  ramCounters?(): RamCounters;
  /** QEMU's downtime-limit: switch over once what is left fits into it. Milliseconds, default 300. */
  readonly downtimeLimitMs?: number;
  /** QEMU's max-bandwidth, while the machine runs. Bytes per second, default unlimited. */
  readonly maxBandwidthBytesPerSecond?: number;
  /** What is sent between two turns of the host. Bytes, default 1 MiB. */
  readonly sliceBytes?: number;
  /** After so many rounds the verdict is that it will not converge. Default 30. */
  readonly maxRounds?: number;
  /** What to do then: go on, switch over in spite of the limit, or fail with `WILL_NOT_CONVERGE`. Default continue. */
  readonly whenNotConverging?: "continue" | "force" | "fail";
  /** From the pause until the destination is prepared; then the machine goes on here. Milliseconds, default 30,000. */
  readonly switchoverTimeoutMs?: number;
}

export interface IncomingOptions extends CommonOptions {
  accept(): Promise<Channel>;
}

export const defaults = {
  peerTimeoutMs: 30_000,
  downtimeLimitMs: 300,
  sliceBytes: 1024 * 1024,
  maxRounds: 30,
  switchoverTimeoutMs: 30_000,
} as const;

/** Progress is told this often while a migration goes on. Milliseconds. */
export const progressMs = 250;

/** How long a side that is done waits for its last word to get through. Milliseconds. */
export const closingGraceMs = 1000;

/** A peer is told to be heard of this often, so that two words may go missing to delays before it counts as silent. */
export function heartbeatMs(peerTimeoutMs: number): number {
  return peerTimeoutMs / 4;
}

/** The value or its default. `OPTION_INVALID` unless it is a number above zero. */
export function positive(name: string, value: number | undefined, byDefault: number): number {
  const chosen = value ?? byDefault;
  if (chosen > 0 && !Number.isNaN(chosen)) return chosen;
  throw migrationError("OPTION_INVALID", `${name} must be above zero`, { side: "define", found: String(chosen) });
}
