// What a program sees of a migration away from it: the handle, its events and its report.
import type { MigrationError, SectionSummary } from "@godwit/core";
import type { EventEmitter } from "eventemitter3";
import type { Capabilities } from "./capabilities.ts";
import type { Verdict } from "./converge/verdict.ts";
import type { Misfit } from "./godwit/preamble.ts";
import type { Channel } from "./host.ts";
import type { OwnershipConnection, OwnershipResolution } from "./ownership/resolve.ts";
import type { MigrationParameters } from "./parameters.ts";
import type { MigrationInfo } from "./query.ts";
import type { SourceState } from "./source-state.ts";
import type { MigrationStatistics, RoundSummary } from "./statistics.ts";

export interface SourceEvents {
  status: [state: SourceState];
  /** At least four times a second while the migration goes on. */
  progress: [statistics: MigrationStatistics];
  round: [round: RoundSummary];
  /** A section was sent. */
  section: [section: SectionSummary];
  verdict: [verdict: Verdict];
}

export interface SourceReport {
  readonly state: SourceState;
  readonly statistics: MigrationStatistics;
  /** Why the destination refused; it refuses before the first page. */
  readonly misfits: readonly Misfit[];
  /** What the destination noticed, without refusing. */
  readonly warnings: readonly Misfit[];
  readonly sections: readonly SectionSummary[];
  /** The migration is over as `state` says, but the handlers' own clean-up threw this. */
  readonly cleanupError: MigrationError | undefined;
}

export interface OutgoingMigration {
  readonly events: EventEmitter<SourceEvents>;
  readonly state: SourceState;
  statistics(): MigrationStatistics;
  /** What QEMU's `query-migrate` would answer, by its keys. */
  query(): MigrationInfo;
  readonly capabilities: Capabilities;
  readonly parameters: MigrationParameters;
  /** QEMU's `migrate-set-parameters`, also while it runs. All or nothing: `OPTION_INVALID`. */
  setParameters(parameters: Partial<MigrationParameters>): void;
  /** QEMU's `migrate-continue`: what waits in `pre-switchover` goes on. False where nothing waits. */
  continue(): boolean;
  /** Runs the migration to its end, whichever that is: the report's state tells. Only once: `PROTOCOL_ORDER`. */
  run(): Promise<SourceReport>;
  /**
   * QEMU's `migrate-start-postcopy`: the machine goes now, and its pages follow. `CAPABILITY_CONFLICT` without the
   * capability postcopy-ram, `PROTOCOL_ORDER` where it is too early or too late.
   */
  startPostcopy(): void;
  /**
   * QEMU's `migrate resume`: goes on with a post-copy that is paused, over another connection. Resolves when pages flow
   * again; rejects with the reason why they do not, and it may be tried again. `PROTOCOL_ORDER` where nothing is paused.
   */
  recover(connect: () => Promise<Channel>): Promise<void>;
  /** Gives up a post-copy that is paused: the report is then in doubt. False where nothing is paused. */
  abandon(): boolean;
  /** Stops, and leaves the machine as if nothing had been. False where it is too late: the machine is given away. */
  cancel(): boolean;
  /**
   * In doubt: asks the destination over a new connection, as often as is needed. "taken" ends in `completed`; after
   * "never" the machine runs here again and the state is `failed`, with the error that led into the doubt; "lost" in
   * `lost`. Otherwise it stays in doubt. `PROTOCOL_ORDER` where there is no doubt, or no ownership record.
   */
  resolve(by: OwnershipConnection): Promise<OwnershipResolution>;
}
