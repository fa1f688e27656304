// The source's state machine: every state a migration can be in here, and the one function that leads from one to the next.
import type { MigrationError } from "@godwit/core";
import { migrationError } from "./codes.ts";

/**
 * Where the source stands. The machine runs here up to `quiescing` and stands still in `pre-switchover`,
 * `device`, `verifying` and `releasing`, while the ownership record is written. It is not ours any more from `released` on, and comes back in one
 * way only: `returned`, when the destination has said that it never will run it and the record says again that we may.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> none
 *   none --> connecting: start
 *   connecting --> preamble: connected
 *   preamble --> setup: accepted
 *   setup --> active: set-up
 *   active --> active: round-ended
 *   active --> quiescing: switch-over
 *   quiescing --> device: paused
 *   quiescing --> pre-switchover: held
 *   pre-switchover --> device: paused
 *   device --> verifying: sent
 *   verifying --> releasing: release
 *   releasing --> released: released
 *   released --> completed: resumed
 *   released --> in-doubt: lost
 *   released --> failed: returned
 *   released --> postcopy-active: running
 *   released --> postcopy-paused: connection-lost
 *   postcopy-active --> completed: resumed
 *   postcopy-active --> postcopy-paused: connection-lost
 *   postcopy-active --> in-doubt: lost
 *   postcopy-paused --> postcopy-recover: recover
 *   postcopy-paused --> in-doubt: lost
 *   postcopy-recover --> postcopy-active: running
 *   postcopy-recover --> postcopy-paused: connection-lost
 *   postcopy-recover --> in-doubt: lost
 *   in-doubt --> completed: taken
 *   in-doubt --> failed: returned
 *   in-doubt --> lost: owner-lost
 *   none --> cancelling: cancel
 *   connecting --> cancelling: cancel
 *   preamble --> cancelling: cancel
 *   setup --> cancelling: cancel
 *   active --> cancelling: cancel
 *   quiescing --> cancelling: cancel
 *   pre-switchover --> cancelling: cancel
 *   device --> cancelling: cancel
 *   verifying --> cancelling: cancel
 *   releasing --> cancelling: cancel
 *   cancelling --> cancelled: restored
 *   connecting --> failed: fail
 *   preamble --> failed: fail
 *   setup --> failed: fail
 *   active --> failed: fail
 *   quiescing --> failed: fail
 *   pre-switchover --> failed: fail
 *   device --> failed: fail
 *   verifying --> failed: fail
 *   releasing --> failed: fail
 *   cancelling --> failed: fail
 *   completed --> [*]
 *   cancelled --> [*]
 *   failed --> [*]
 *   in-doubt --> [*]
 *   lost --> [*]
 * ```
 */
export type SourceState =
  | { readonly status: "none" }
  | { readonly status: "connecting" }
  | { readonly status: "preamble" }
  | { readonly status: "setup" }
  | { readonly status: "active"; readonly round: number }
  | { readonly status: "quiescing" }
  /** The machine stands, and somebody is to say that it may go: with `pause-before-switchover`. */
  | { readonly status: "pre-switchover" }
  | { readonly status: "device" }
  | { readonly status: "verifying" }
  | { readonly status: "releasing" }
  | { readonly status: "released" }
  /** The machine runs at the destination, and what it has not got is here alone. */
  | { readonly status: "postcopy-active" }
  /** So it is, and no connection: nothing is lost, and `recover` goes on with another. */
  | { readonly status: "postcopy-paused"; readonly error: MigrationError }
  | { readonly status: "postcopy-recover" }
  | { readonly status: "completed" }
  | { readonly status: "cancelling" }
  | { readonly status: "cancelled" }
  /** The machine runs here as before, unless the error's code is `MACHINE_FAILED`. */
  | { readonly status: "failed"; readonly error: MigrationError }
  /**
   * Ownership was given away and nobody said that it arrived. The machine stands still here, until the destination is
   * asked (`resolve`); `reported-failure` is its word that it has the machine and does not run it. `run` is over with
   * this; what `resolve` learns leads on.
   */
  | {
      readonly status: "in-doubt";
      readonly error: MigrationError;
      readonly destination: "unknown" | "reported-failure";
    }
  /** The destination took the machine, and the process that ran it is gone. What stands still here is an old copy. */
  | { readonly status: "lost"; readonly error: MigrationError };

export type SourceStatus = SourceState["status"];

export type SourceEvent =
  | { readonly type: "start" | "connected" | "accepted" | "set-up" | "round-ended" | "switch-over" | "held" | "paused" }
  | { readonly type: "sent" | "release" | "released" | "resumed" | "cancel" | "restored" | "taken" }
  | { readonly type: "running" | "recover" }
  | { readonly type: "fail" | "returned" | "owner-lost" | "connection-lost"; readonly error: MigrationError }
  | {
      readonly type: "lost";
      readonly error: MigrationError;
      readonly destination: "unknown" | "reported-failure";
    };

type Transitions = { readonly [S in SourceStatus]: { readonly [E in SourceEvent["type"]]?: SourceStatus } };

export const sourceTransitions: Transitions = {
  none: { start: "connecting", cancel: "cancelling" },
  connecting: { connected: "preamble", cancel: "cancelling", fail: "failed" },
  preamble: { accepted: "setup", cancel: "cancelling", fail: "failed" },
  setup: { "set-up": "active", cancel: "cancelling", fail: "failed" },
  active: { "round-ended": "active", "switch-over": "quiescing", cancel: "cancelling", fail: "failed" },
  quiescing: { paused: "device", held: "pre-switchover", cancel: "cancelling", fail: "failed" },
  "pre-switchover": { paused: "device", cancel: "cancelling", fail: "failed" },
  device: { sent: "verifying", cancel: "cancelling", fail: "failed" },
  verifying: { release: "releasing", cancel: "cancelling", fail: "failed" },
  releasing: { released: "released", cancel: "cancelling", fail: "failed" },
  released: {
    resumed: "completed",
    lost: "in-doubt",
    returned: "failed",
    running: "postcopy-active",
    "connection-lost": "postcopy-paused",
  },
  "postcopy-active": { resumed: "completed", "connection-lost": "postcopy-paused", lost: "in-doubt" },
  "postcopy-paused": { recover: "postcopy-recover", lost: "in-doubt" },
  "postcopy-recover": { running: "postcopy-active", "connection-lost": "postcopy-paused", lost: "in-doubt" },
  completed: {},
  cancelling: { restored: "cancelled", fail: "failed" },
  cancelled: {},
  failed: {},
  "in-doubt": { taken: "completed", returned: "failed", "owner-lost": "lost" },
  lost: {},
};

const over: readonly SourceStatus[] = ["completed", "cancelled", "failed", "in-doubt", "lost"];

/** The next state. `PROTOCOL_ORDER` where the event cannot come. */
export function nextSourceState(state: SourceState, event: SourceEvent): SourceState {
  const status = sourceTransitions[state.status][event.type];
  if (status === undefined) {
    throw migrationError("PROTOCOL_ORDER", `a source that is ${state.status} cannot take "${event.type}"`, {
      side: "source",
    });
  }
  if (event.type === "fail" || event.type === "returned") return { status: "failed", error: event.error };
  if (event.type === "connection-lost") return { status: "postcopy-paused", error: event.error };
  if (event.type === "owner-lost") return { status: "lost", error: event.error };
  if (event.type === "lost") return { status: "in-doubt", error: event.error, destination: event.destination };
  if (status === "active") return { status, round: state.status === "active" ? state.round + 1 : 1 };
  return { status } as SourceState;
}

/** True where the migration is over, one way or the other. */
export function isSourceOver({ status }: SourceState): boolean {
  return over.includes(status);
}

/** QEMU's word for a source's state, as `query-migrate` gives it. QEMU has none for `in-doubt` and `lost`. */
export function sourceQueryStatus({ status }: SourceState): string {
  if (status === "connecting" || status === "preamble") return "setup";
  if (["quiescing", "verifying", "releasing", "released"].includes(status)) return "device";
  return status;
}
