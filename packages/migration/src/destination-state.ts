// The destination's state machine: every state a migration can be in here, and the one function that leads on.
import type { MigrationError } from "@godwit/core";
import { migrationError } from "./codes.ts";

/**
 * Where the destination stands. Nothing of the machine changes before `committing`, which is also where ownership
 * arrives: from there on nothing is handed back.
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
 *   committing --> completed: resumed
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
 *   completed --> [*]
 *   cancelled --> [*]
 *   failed --> [*]
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
  | { readonly status: "completed" }
  /** By either side; the machine here is as before. */
  | { readonly status: "cancelled" }
  /**
   * `ownership`: what had been given to this side when it failed. With `none` the machine here is as before, and the
   * source's goes on. With `taken` this side was the owner and could not run the machine, which stands still on both
   * sides: only somebody who has looked at both may resume one of them.
   */
  | { readonly status: "failed"; readonly error: MigrationError; readonly ownership: "none" | "taken" };

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
        | "resumed"
        | "cancel";
    }
  | { readonly type: "fail"; readonly error: MigrationError };

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
  committing: { resumed: "completed", fail: "failed" },
  completed: {},
  cancelled: {},
  failed: {},
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
    return { status: "failed", error: event.error, ownership: state.status === "committing" ? "taken" : "none" };
  }
  return { status } as DestinationState;
}

export function isDestinationOver({ status }: DestinationState): boolean {
  return Object.keys(destinationTransitions[status]).length === 0;
}

/** QEMU's word for a destination's state, as `query-migrate` gives it. */
export function destinationQueryStatus({ status }: DestinationState): string {
  if (status === "waiting" || status === "preamble") return "setup";
  if (status === "checking" || status === "prepared" || status === "committing") return "active";
  return status;
}
