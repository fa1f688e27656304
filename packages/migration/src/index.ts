// @godwit/migration: the live engine. Two engines, a connection between them, and a machine that moves from one to the other.
export {
  type Capabilities,
  type Capability,
  type CapabilityHost,
  capabilityNames,
  checkedCapabilities,
} from "./capabilities.ts";
export { type MigrationErrorCode, migrationErrorCodes } from "./codes.ts";
export type { Help } from "./converge/help.ts";
export type { Converging, Verdict, WillNotConverge } from "./converge/verdict.ts";
export { incomingMigration } from "./destination.ts";
export type {
  DestinationEvents,
  DestinationReport,
  DestinationStatistics,
  IncomingMigration,
} from "./destination-contract.ts";
export { type DestinationState, destinationQueryStatus } from "./destination-state.ts";
export type { OwnershipWord } from "./godwit/control.ts";
export { formatMisfit, type Misfit, misfits } from "./godwit/preamble.ts";
export type { Channel, HostClock, MigratableMachine, RamCounters } from "./host.ts";
export type { IncomingOptions, OutgoingOptions } from "./options.ts";
export type { IncomingOwnershipOptions, OwnershipOffer, OwnershipOptions } from "./ownership/holder.ts";
export { memoryOwnershipLog, type OwnershipLog } from "./ownership/log.ts";
export { claimOwnership, createOwnership, type OperatorsWord, renounceOwnership } from "./ownership/operator.ts";
export { mayRun, type OwnershipRecord } from "./ownership/record.ts";
export {
  type AnswerOptions,
  answerOwnership,
  type OwnershipAnswered,
  type OwnershipConnection,
  type OwnershipResolution,
  type ResolveOptions,
  resolveOwnership,
} from "./ownership/resolve.ts";
export {
  checkedParameters,
  defaultParameters,
  formatRange,
  type MigrationParameters,
  type ParameterName,
  type ParameterSpec,
  parameterTable,
} from "./parameters.ts";
export type { PostcopyReport } from "./postcopy/destination-ahead.ts";
export type { MigrationInfo, QueriedRam } from "./query.ts";
export { outgoingMigration } from "./source.ts";
export type { OutgoingMigration, SourceEvents, SourceReport } from "./source-contract.ts";
export { type SourceState, sourceQueryStatus } from "./source-state.ts";
export type {
  EndedStatistics,
  MigrationStatistics,
  OngoingStatistics,
  RamStatistics,
  RoundSummary,
  XbzrleStatistics,
} from "./statistics.ts";
