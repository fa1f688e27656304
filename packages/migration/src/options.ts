// The options of both sides, and their defaults.
import type { Capabilities, CapabilityHost } from "./capabilities.ts";
import { migrationError } from "./codes.ts";
import type { Channel, HostClock, MigratableMachine, MigratableRam, RamCounters } from "./host.ts";
import type { IncomingOwnershipOptions, OwnershipOptions } from "./ownership/holder.ts";
import type { MigrationParameters } from "./parameters.ts";

interface CommonOptions {
  readonly machine: MigratableMachine;
  readonly clock: HostClock;
  /** QEMU's capabilities, all off by default. `CAPABILITY_CONFLICT` lists everything that does not go together. */
  readonly capabilities?: Partial<Capabilities>;
  /** QEMU's parameters, over QEMU's defaults. */
  readonly parameters?: Partial<MigrationParameters>;
  /** The ram handler; some capabilities need it, and with it pages are counted. */
  readonly ram?: MigratableRam;
  /** How long the peer may say nothing, or take nothing. Milliseconds, default 30,000. */
  readonly peerTimeoutMs?: number;
}

/**
 * Sends pages over these channels in the attempt that begins now. With `@godwit/ram-dirty-tracker`, which knows multifd's
 * packets: `ram.sendBy({ multifd: multifdSender({ channels, ... }) })`.
 */
export type SendOver = (channels: readonly ((bytes: Uint8Array) => void)[]) => void;

/** Who is at the other end: another engine of Godwit's, or a QEMU. */
export type PeerKind = "godwit" | "qemu";

export interface OutgoingOptions extends CommonOptions {
  /** Default godwit. A QEMU hears QEMU's stream and nothing else; what is promised then is less: see the README. */
  readonly peer?: PeerKind;
  /**
   * The machine's id and its ownership record here. Without it the hand-over is safe as long as both processes live: one
   * that is killed knows nothing when it restarts, and a doubt cannot be resolved by asking. Both sides have it, or none.
   */
  readonly ownership?: OwnershipOptions;
  /** A connection to the destination; with multifd called once more for each of its channels. */
  connect(): Promise<Channel>;
  /** Needed for the capability multifd. */
  readonly sendOver?: SendOver;
  /** Lets the guest, and everything else in the program, have a turn; called after every slice. */
  yieldToHost(): Promise<void>;
  /** What RAM's handler counted so far, for the statistics; not needed where `ram` is given. */
  ramCounters?(): RamCounters;
  /** What is sent between two turns of the host. Bytes, default 1 MiB. */
  readonly sliceBytes?: number;
  /** After so many rounds the verdict is that it will not converge, if it was not told before. Default 30. */
  readonly maxRounds?: number;
  /** What to do after those rounds: go on, switch over in spite of the limit, or fail with `WILL_NOT_CONVERGE`. Default continue. */
  readonly whenNotConverging?: "continue" | "force" | "fail";
  /** From the pause until the destination is prepared; then the machine goes on here. Milliseconds, default 30,000. */
  readonly switchoverTimeoutMs?: number;
}

export interface IncomingOptions extends CommonOptions {
  /** Who may come, told by the first four bytes. Default both. */
  readonly peers?: readonly PeerKind[];
  /** Where this side's ownership records are. Both sides have it, or none. */
  readonly ownership?: IncomingOwnershipOptions;
  /**
   * The next connection. Called again for one that says nothing and leaves, and, with multifd, until all of its channels
   * are there; with postcopy-preempt once more. What it rejects with ends the attempt where a connection is still needed.
   */
  accept(): Promise<Channel>;
}

export const defaults = {
  peerTimeoutMs: 30_000,
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

/** What capabilities can be served with. */
export function capabilityHost(options: CommonOptions & Pick<Partial<OutgoingOptions>, "sendOver">): CapabilityHost {
  const { machine, ram, sendOver } = options;
  return { ram: ram !== undefined, throttle: machine.throttle !== undefined, sendOver: sendOver !== undefined };
}

/** What the ram handler counted, asked by whichever way it was given. */
export function ramCountersOf({ ram, ramCounters }: OutgoingOptions): RamCounters | undefined {
  if (ram === undefined) return ramCounters?.();
  const { zeroPages = 0, normalPages = 0, multifdBytes = 0, xbzrleCache } = ram.statistics().sent ?? {};
  return { duplicatePages: zeroPages, normalPages, pageBytes: ram.pageBytes, multifdBytes, xbzrleCache };
}

/** Timers of the runtimes hold 31 bits, and fire at once where it is more. Milliseconds. */
export const longestTimerMs = 2 ** 31 - 1;

/** A time limit or its default, in milliseconds. `OPTION_INVALID` unless it is above zero and within a timer's range. */
export function timeout(name: string, value: number | undefined, byDefault: number): number {
  const chosen = positive(name, value, byDefault);
  if (chosen <= longestTimerMs) return chosen;
  throw migrationError("OPTION_INVALID", `${name} is at most ${longestTimerMs} ms, some 24 days`, {
    side: "define",
    found: String(chosen),
  });
}

/** The value or its default. `OPTION_INVALID` unless it is a number above zero. */
export function positive(name: string, value: number | undefined, byDefault: number): number {
  const chosen = value ?? byDefault;
  if (chosen > 0 && !Number.isNaN(chosen)) return chosen;
  throw migrationError("OPTION_INVALID", `${name} must be above zero`, { side: "define", found: String(chosen) });
}
