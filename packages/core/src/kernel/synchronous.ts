// Save, check and load are one instant each: a promise from one of them is a mistake that must not pass for success.
import { type ErrorCode, MigrationError } from "../errors.ts";

/** The answer, unless it is a promise: `code`. A promise's own failure is not left unhandled. */
export function atOnce<T>(answer: T, code: ErrorCode, what: string): T {
  const { then } = (answer ?? {}) as { then?: unknown };
  if (typeof then !== "function") return answer;
  Promise.resolve(answer).catch(() => {});
  throw new MigrationError(code, `${what} returned a promise; waiting belongs in quiesce and ready`);
}
