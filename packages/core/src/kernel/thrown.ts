// What a device's own function threw: in words, as an error of ours, and kept while others have their turn.
import { type ErrorLocation, isMigrationError, MigrationError } from "../errors.ts";

/** The error's message; anything else that was thrown, as text. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A `MigrationError` with its place; anything else as the cause of a `DEVICE_FAILED`. */
export function failureOf(thrown: unknown, detail: string, at: ErrorLocation): MigrationError {
  if (isMigrationError(thrown)) return thrown.at(at);
  return new MigrationError("DEVICE_FAILED", detail, { ...at, found: messageOf(thrown), cause: thrown });
}

/** True if it did not throw; what it threw is put to the others. */
export function attempt(failures: unknown[], work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    failures.push(error);
    return false;
  }
}
