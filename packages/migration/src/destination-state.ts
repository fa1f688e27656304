// The destination's state machine: every state a migration can be in here, and the one function that leads on.
import type { MigrationError } from "@godwit/core";
import { migrationError } from "./codes.ts";

/**
 * Where the destination stands. Nothing of the machine changes before `committing`, where its state is loaded and then
 * the ownership record is written. With `resuming` the machine is this side's: from there on nothing is handed back.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> none
 *   none --> waiting: start
 *   waiting --> preamble: connected
 *   preamble --> active: accepted
 *   active --> checking: stream-ended
 *   checking --> prepared: checked
 *   prepared --> committing: released
 *   committing --> resuming: owned
 *   resuming --> completed: resumed
 *   resuming --> postcopy-active: running
 *   postcopy-active --> completed: received
 *   postcopy-active --> postcopy-paused: connection-lost
 *   postcopy-paused --> postcopy-recover: recover
 *   postcopy-paused --> lost: abandon
 *   postcopy-paused --> completed: received
 *   postcopy-recover --> postcopy-active: running
 *   postcopy-recover --> postcopy-paused: connection-lost
 *   none --> cancelled: cancel
 *   waiting --> cancelled: cancel
 *   preamble --> cancelled: cancel
 *   active --> cancelled: cancel
 *   checking --> cancelled: cancel
 *   prepared --> cancelled: cancel
 *   waiting --> failed: fail
 *   preamble --> failed: fail
 *   active --> failed: fail
 *   checking --> failed: fail
 *   prepared --> failed: fail
 *   committing --> failed: fail
 *   resuming --> failed: fail
 *   completed --> [*]
 *   cancelled --> [*]
 *   failed --> [*]
 *   lost --> [*]
 * ```
 */
export type DestinationState =
  | { readonly status: "none" }
  | { readonly status: "waiting" }
  | { readonly status: "preamble" }
  | { readonly status: "active" }
  | { readonly status: "checking" }
  | { readonly status: "prepared" }
  | { readonly status: "committing" }
  | { readonly status: "resuming" }
  /** The machine runs here, and some of its pages are still at the source. */
  | { readonly status: "postcopy-active" }
  /** So it is, and no connection: who touches what is missing waits, until `recover` goes on with another. */
  | { readonly status: "postcopy-paused"; readonly error: MigrationError }
  | { readonly status: "postcopy-recover" }
  | { readonly status: "completed" }
  /** By either side; the machine here is as before. */
  | { readonly status: "cancelled" }
  /**
   * `ownership`: what had been given to this side when it failed. With `none` the machine here does not run, and the source's
   * goes on; it is as before, unless its own load broke it, or it was refused (`OWNERSHIP_CONFLICT`: "never" was answered
   * meanwhile) while it was loaded. With `taken` this side is the owner and could not run the
   * machine, which stands still on both sides: only somebody who has looked at both may resume one of them. With
   * `unknown` the log failed when the machine was to become this side's: it does not run, and its record decides.
   */
  | { readonly status: "failed"; readonly error: MigrationError; readonly ownership: "none" | "taken" | "unknown" }
  /** Somebody gave up what was left at the source: the machine stands here, without some of its pages, and will not run. */
  | { readonly status: "lost"; readonly error: MigrationError };

export type DestinationStatus = DestinationState["status"];

export type DestinationEvent =
  | {
      readonly type:
        | "start"
        | "connected"
        | "accepted"
        | "stream-ended"
        | "checked"
        | "released"
        | "owned"
        | "resumed"
        | "running"
        | "received"
        | "recover"
        | "cancel";
    }
  | { readonly type: "fail"; readonly error: MigrationError; readonly ownership?: "unknown" }
  | { readonly type: "connection-lost" | "abandon"; readonly error: MigrationError };

type Transitions = {
  readonly [S in DestinationStatus]: { readonly [E in DestinationEvent["type"]]?: DestinationStatus };
};

export const destinationTransitions: Transitions = {
  none: { start: "waiting", cancel: "cancelled" },
  waiting: { connected: "preamble", cancel: "cancelled", fail: "failed" },
  preamble: { accepted: "active", cancel: "cancelled", fail: "failed" },
  active: { "stream-ended": "checking", cancel: "cancelled", fail: "failed" },
  checking: { checked: "prepared", cancel: "cancelled", fail: "failed" },
  prepared: { released: "committing", cancel: "cancelled", fail: "failed" },
  committing: { owned: "resuming", fail: "failed" },
  resuming: { resumed: "completed", running: "postcopy-active", fail: "failed" },
  "postcopy-active": { received: "completed", "connection-lost": "postcopy-paused" },
  "postcopy-paused": { recover: "postcopy-recover", abandon: "lost", received: "completed" },
  "postcopy-recover": { running: "postcopy-active", "connection-lost": "postcopy-paused" },
  completed: {},
  cancelled: {},
  failed: {},
  lost: {},
};

/** The next state. `PROTOCOL_ORDER` where the event cannot come. */
export function nextDestinationState(state: DestinationState, event: DestinationEvent): DestinationState {
  const status = destinationTransitions[state.status][event.type];
  if (status === undefined) {
    throw migrationError("PROTOCOL_ORDER", `a destination that is ${state.status} cannot take "${event.type}"`, {
      side: "destination",
    });
  }
  if (event.type === "fail") {
    const ownership = event.ownership ?? (state.status === "resuming" ? "taken" : "none");
    return { status: "failed", error: event.error, ownership };
  }
  if (event.type === "connection-lost") return { status: "postcopy-paused", error: event.error };
  if (event.type === "abandon") return { status: "lost", error: event.error };
  return { status } as DestinationState;
}

export function isDestinationOver({ status }: DestinationState): boolean {
  return Object.keys(destinationTransitions[status]).length === 0;
}

/** QEMU's word for a destination's state, as `query-migrate` gives it. */
export function destinationQueryStatus({ status }: DestinationState): string {
  if (status === "waiting" || status === "preamble") return "setup";
  if (["checking", "prepared", "committing", "resuming"].includes(status)) return "active";
  return status;
}
