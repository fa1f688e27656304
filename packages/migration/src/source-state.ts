// The source's state machine: every state a migration can be in here, and the one function that leads from one to the next.
import type { MigrationError } from "@godwit/core";
import { migrationError } from "./codes.ts";

/**
 * Where the source stands. The machine runs here up to `quiescing`, stands still in `device` and `verifying`, and is
 * not ours any more from `released` on: whatever happens then, it is not resumed here.
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
 *   device --> verifying: sent
 *   verifying --> released: release
 *   released --> completed: resumed
 *   released --> in-doubt: lost
 *   none --> cancelling: cancel
 *   connecting --> cancelling: cancel
 *   preamble --> cancelling: cancel
 *   setup --> cancelling: cancel
 *   active --> cancelling: cancel
 *   quiescing --> cancelling: cancel
 *   device --> cancelling: cancel
 *   verifying --> cancelling: cancel
 *   cancelling --> cancelled: restored
 *   connecting --> failed: fail
 *   preamble --> failed: fail
 *   setup --> failed: fail
 *   active --> failed: fail
 *   quiescing --> failed: fail
 *   device --> failed: fail
 *   verifying --> failed: fail
 *   cancelling --> failed: fail
 *   completed --> [*]
 *   cancelled --> [*]
 *   failed --> [*]
 *   in-doubt --> [*]
 * ```
 */
export type SourceState =
  | { readonly status: "none" }
  | { readonly status: "connecting" }
  | { readonly status: "preamble" }
  | { readonly status: "setup" }
  | { readonly status: "active"; readonly round: number }
  | { readonly status: "quiescing" }
  | { readonly status: "device" }
  | { readonly status: "verifying" }
  | { readonly status: "released" }
  | { readonly status: "completed" }
  | { readonly status: "cancelling" }
  | { readonly status: "cancelled" }
  /** The machine runs here as before, unless the error's code is `MACHINE_FAILED`. */
  | { readonly status: "failed"; readonly error: MigrationError }
  /**
   * Ownership was given away and nobody said that it arrived. The machine stands still here. Only somebody who knows
   * that the destination does not run it may resume it; `reported-failure` is the destination's word that it does not.
   */
  | {
      readonly status: "in-doubt";
      readonly error: MigrationError;
      readonly destination: "unknown" | "reported-failure";
    };

export type SourceStatus = SourceState["status"];

export type SourceEvent =
  | { readonly type: "start" | "connected" | "accepted" | "set-up" | "round-ended" | "switch-over" | "paused" }
  | { readonly type: "sent" | "release" | "resumed" | "cancel" | "restored" }
  | { readonly type: "fail"; readonly error: MigrationError }
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
  quiescing: { paused: "device", cancel: "cancelling", fail: "failed" },
  device: { sent: "verifying", cancel: "cancelling", fail: "failed" },
  verifying: { release: "released", cancel: "cancelling", fail: "failed" },
  released: { resumed: "completed", lost: "in-doubt" },
  completed: {},
  cancelling: { restored: "cancelled", fail: "failed" },
  cancelled: {},
  failed: {},
  "in-doubt": {},
};

/** The next state. `PROTOCOL_ORDER` where the event cannot come. */
export function nextSourceState(state: SourceState, event: SourceEvent): SourceState {
  const status = sourceTransitions[state.status][event.type];
  if (status === undefined) {
    throw migrationError("PROTOCOL_ORDER", `a source that is ${state.status} cannot take "${event.type}"`, {
      side: "source",
    });
  }
  if (event.type === "fail") return { status: "failed", error: event.error };
  if (event.type === "lost") return { status: "in-doubt", error: event.error, destination: event.destination };
  if (status === "active") return { status, round: state.status === "active" ? state.round + 1 : 1 };
  return { status } as SourceState;
}

/** True where the migration is over, one way or the other. */
export function isSourceOver({ status }: SourceState): boolean {
  return Object.keys(sourceTransitions[status]).length === 0;
}

/** QEMU's word for a source's state, as `query-migrate` gives it. QEMU has none for `in-doubt`. */
export function sourceQueryStatus({ status }: SourceState): string {
  if (status === "connecting" || status === "preamble") return "setup";
  if (status === "quiescing" || status === "verifying" || status === "released") return "device";
  return status;
}
