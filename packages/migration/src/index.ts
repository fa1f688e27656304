// @godwit/migration: the live engine. Two engines, a connection between them, and a machine that moves from one to the other.
export { type MigrationErrorCode, migrationErrorCodes } from "./codes.ts";
export {
  type DestinationEvents,
  type DestinationReport,
  type DestinationStatistics,
  type IncomingMigration,
  incomingMigration,
} from "./destination.ts";
export { type DestinationState, destinationQueryStatus } from "./destination-state.ts";
export type { Channel, HostClock, MigratableMachine, RamCounters } from "./host.ts";
export type { IncomingOptions, OutgoingOptions } from "./options.ts";
export { formatMisfit, type Misfit, misfits } from "./preamble.ts";
export type { Verdict } from "./precopy.ts";
export { type OutgoingMigration, outgoingMigration, type SourceEvents, type SourceReport } from "./source.ts";
export { type SourceState, sourceQueryStatus } from "./source-state.ts";
export type {
  EndedStatistics,
  MigrationStatistics,
  OngoingStatistics,
  RamStatistics,
  RoundSummary,
} from "./statistics.ts";
