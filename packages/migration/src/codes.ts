// What a migration can fail with, beside the codes of the kernel and of the transport. MigrationErrors, all of them.
import { isMigrationError, MigrationError, type MigrationErrorInit, type Side } from "@godwit/core";

/** Stable codes of the engine. They are API: a code keeps its meaning for ever. */
export const migrationErrorCodes = {
  CAPABILITY_CONFLICT: "capabilities that do not go together, or that the machine cannot serve",
  DIGEST_MISMATCH: "what arrived is not what was sent",
  MACHINE_FAILED: "the machine, not the migration, threw an error",
  MANIFEST_CHANGED: "devices came or went between the preamble and the start of the migration",
  MIGRATION_CANCELLED: "somebody cancelled the migration",
  OPTION_INVALID: "an option of the migration is out of range",
  OWNERSHIP_CONFLICT: "the ownership record does not allow this step",
  OWNERSHIP_EPOCH: "the destination has seen this epoch of ownership, or a newer one",
  OWNERSHIP_LOG: "the ownership log failed, or does not answer",
  OWNERSHIP_MACHINE: "this is no machine id, or another machine's",
  OWNERSHIP_RECORD: "an ownership record is missing, torn, or of something else",
  OWNERSHIP_UNKNOWN: "the peer was never promised the machine in this epoch",
  PEER_CLOSED: "the peer closed the connection before the migration was over",
  PEER_FAILED: "the peer says that it has failed, and not why",
  PEER_KIND: "the peer speaks QEMU's stream without Godwit's protocol, or nothing that is known",
  PEER_SILENT: "the peer has said nothing, or taken nothing, for too long",
  PREAMBLE_MISFIT: "the machine does not fit the destination",
  PROTOCOL_FRAME: "a frame is not well formed",
  PROTOCOL_MESSAGE: "a control message is not well formed",
  PROTOCOL_ORDER: "a message or state change came where it may not",
  PROTOCOL_VERSION: "the peer speaks another version of Godwit's protocol",
  SWITCHOVER_TIMEOUT: "the destination did not get ready in time; the machine stays where it is",
  WILL_NOT_CONVERGE: "the guest dirties memory faster than it can be sent",
} as const;

export type MigrationErrorCode = keyof typeof migrationErrorCodes;

export function migrationError(code: MigrationErrorCode, detail: string, init?: MigrationErrorInit): MigrationError {
  return new MigrationError(code, detail, init);
}

/** Any thrown value as a MigrationError; what is none yet came out of the machine's or the host's own functions. */
export function asMigrationError(error: unknown, side: Side): MigrationError {
  if (isMigrationError(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  return migrationError("MACHINE_FAILED", text, { side, cause: error });
}

/** What a connection is broken off with that nobody needs any more. */
export function overFor(side: Side): MigrationError {
  return migrationError("PEER_CLOSED", "the migration is over", { side });
}
