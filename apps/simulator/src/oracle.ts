// What must be true in the very moment when a side reports.
import type { DestinationState, SourceState } from "@godwit/migration";
import type { Attempt } from "./attempt.ts";

/** The report's state, with its error's code. */
export function codeOf(state: SourceState | DestinationState): string {
  return "error" in state ? `${state.status} (${state.error.code})` : state.status;
}

/** Every sentence of the report that is not so. */
export function findingsOfReport(attempt: Attempt, side: "source" | "destination"): string[] {
  return side === "source" ? ofSource(attempt) : ofDestination(attempt);
}

function ofSource({ sourceReport, source, destination }: Attempt): string[] {
  if (sourceReport === undefined) return [];
  const { state } = sourceReport;
  const told = `the source says ${codeOf(state)}`;
  const stays = state.status === "cancelled" || (state.status === "failed" && state.error.code !== "MACHINE_FAILED");
  if (stays && !source.isRunning) return [`${told}, and its machine does not run`];
  if (state.status === "in-doubt" && source.isRunning) return [`${told}, and its machine runs`];
  if (state.status === "completed" && source.isRunning) return [`${told}, and its machine runs`];
  if (state.status === "completed" && destination.resumes === 0) return [`${told}, and the destination's never ran`];
  return [];
}

function ofDestination({ destinationReport, destination }: Attempt): string[] {
  if (destinationReport === undefined) return [];
  const { state } = destinationReport;
  const told = `the destination says ${codeOf(state)}`;
  if (state.status === "completed" && !destination.isRunning) return [`${told}, and its machine does not run`];
  if (state.status === "completed") return [];
  if (destination.isRunning) return [`${told}, and its machine runs`];
  // It ran here, and was given up.
  if (state.status === "lost") return [];
  // It was refused, on somebody's question, while it was being loaded: it stands as it was loaded, and never runs.
  if (state.status === "failed" && state.error.code === "OWNERSHIP_CONFLICT") return [];
  const isUntouched = destination.guest.steps === 0 && destination.memory.every((byte) => byte === 0);
  if (!isUntouched) return [`${told}, and its machine is not as it was before`];
  return [];
}
