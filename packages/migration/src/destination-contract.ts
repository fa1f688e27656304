// What a program sees of a migration into it: the handle, its events and its report.
import type { LoadReport, MigrationError } from "@godwit/core";
import type { EventEmitter } from "eventemitter3";
import type { Capabilities } from "./capabilities.ts";
import type { DestinationState } from "./destination-state.ts";
import type { Misfit } from "./godwit/preamble.ts";
import type { Channel } from "./host.ts";
import type { MigrationParameters } from "./parameters.ts";
import type { PostcopyReport } from "./postcopy/destination-ahead.ts";
import type { MigrationInfo } from "./query.ts";

export interface DestinationStatistics {
  /** QEMU's migration status. */
  readonly status: string;
  /** Stream bytes decoded. */
  readonly receivedBytes: number;
  /** Rounds of the source that have ended. */
  readonly rounds: number;
  /** From the source's connection until now, or the end. */
  readonly totalMs: number;
  /** Held by the engine beyond what the machine holds: frames that are not whole, and what is being worked on. Bytes. */
  readonly bufferedBytes: number;
  /** The most that it ever was. */
  readonly mostBufferedBytes: number;
}

export interface DestinationEvents {
  status: [state: DestinationState];
  /** At least four times a second while a source is connected. */
  progress: [statistics: DestinationStatistics];
}

export interface DestinationReport {
  readonly state: DestinationState;
  readonly statistics: DestinationStatistics;
  /** Everything that did not fit, whether it made this side refuse or not. */
  readonly misfits: readonly Misfit[];
  readonly load: LoadReport | undefined;
  /** From the end of the stream until every state was checked, and from ownership to the resumed machine. */
  readonly prepareMs: number | undefined;
  readonly commitMs: number | undefined;
  /** Of a machine that ran here before its pages had come. */
  readonly postcopy: PostcopyReport | undefined;
  /** False for a machine that runs here although the source could not be told: there, it is in doubt. */
  readonly sourceTold: boolean;
  /**
   * The migration is over as `state` says, but the ownership record could not be closed (`OWNERSHIP_LOG`), or the
   * machine's own clean-up threw this.
   */
  readonly cleanupError: MigrationError | undefined;
}

export interface IncomingMigration {
  readonly events: EventEmitter<DestinationEvents>;
  readonly state: DestinationState;
  /**
   * Whether this process has all of the machine, running or not: what `answerOwnership` wants to know. False while pages
   * of it are at the source, which does not ask before it has given up sending them.
   */
  readonly holds: boolean;
  statistics(): DestinationStatistics;
  /** What QEMU's `query-migrate` answers where a machine comes in: the status, once there is one. */
  query(): MigrationInfo;
  readonly capabilities: Capabilities;
  readonly parameters: MigrationParameters;
  /** QEMU's `migrate-set-parameters`. All or nothing: `OPTION_INVALID`. */
  setParameters(parameters: Partial<MigrationParameters>): void;
  /** Waits for one source and runs its migration to its end: the report's state tells which. Only once: `PROTOCOL_ORDER`. */
  run(): Promise<DestinationReport>;
  /**
   * QEMU's `migrate-recover`: takes up a post-copy that is paused, by another connection. Resolves when pages come again;
   * rejects with the reason why they do not, and it may be tried again. `PROTOCOL_ORDER` where nothing is paused.
   * Also when it is `completed`, and the source is paused since it has not heard so: it hears it by that connection.
   */
  recover(accept: () => Promise<Channel>): Promise<void>;
  /**
   * Gives up a post-copy that is paused: the machine stops here, and is lost; where no page is missing, it runs on, and is
   * `completed`. False where nothing is paused.
   */
  abandon(): boolean;
  /** Stops, and leaves the machine here as it was. False where it is too late: the machine is this side's own. */
  cancel(): boolean;
}
