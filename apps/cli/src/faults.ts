// What goes wrong, as the user is told: one sentence, the place, the likely cause; and the exit code that goes with it.
import { isMigrationError, type MigrationError } from "@godwit/core";
import { likelyCause } from "./likely-cause.ts";

/** 1: the stream or the comparison is bad. 2: wrong use. 3: our own bug. */
export type FailedExit = 1 | 2 | 3;

interface FaultInit {
  readonly exit: 1 | 2;
  /** What to do about it, or what it probably is. */
  readonly hint?: string | undefined;
  /** Where it is, if it is about a place of the stream. */
  readonly place?: FaultPlace | undefined;
  readonly cause?: unknown;
}

interface FaultPlace {
  readonly section?: string;
  readonly path?: string;
  readonly offset?: number;
}

/** What a verb refuses. The code is stable, the sentence is not. */
export class CliFault extends Error {
  readonly code: string;
  readonly exit: 1 | 2;
  readonly hint: string | undefined;
  readonly place: FaultPlace | undefined;

  constructor(code: string, sentence: string, { exit, hint, place, cause }: FaultInit) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.code = code;
    this.exit = exit;
    this.hint = hint;
    this.place = place;
  }
}

/** The JSON form: `{"error": ...}` on standard output with `--json`. */
export interface FaultReport {
  readonly code: string;
  readonly message: string;
  readonly section?: string;
  readonly path?: string;
  readonly offset?: number;
  readonly expected?: string;
  readonly found?: string;
  readonly hint?: string;
}

export function reportOf(error: unknown): { readonly report: FaultReport; readonly exit: FailedExit } {
  if (error instanceof CliFault) {
    const { code, message, hint, place, exit } = error;
    return { exit, report: { code, message, ...place, ...(hint !== undefined && { hint }) } };
  }
  if (isMigrationError(error)) return { exit: 1, report: reportOfMigrationError(error) };
  const message = error instanceof Error ? error.message : String(error);
  return {
    exit: 3,
    report: { code: "INTERNAL", message, hint: "this is a bug of godwit: please report it, with what --debug adds" },
  };
}

function reportOfMigrationError(error: MigrationError): FaultReport {
  const { code, detail, location, expected, found } = error;
  const { section, path, offset } = location;
  const hint = likelyCause(error);
  return {
    code,
    message: detail,
    ...(section !== undefined && { section }),
    ...(path !== undefined && { path }),
    ...(offset !== undefined && { offset }),
    ...(expected !== undefined && { expected }),
    ...(found !== undefined && { found }),
    ...(hint !== undefined && { hint }),
  };
}

/** The sentences for standard error. */
export function faultLines({ code, message, section, path, offset, expected, found, hint }: FaultReport): string[] {
  const place = [
    section !== undefined && `section ${section}`,
    path !== undefined && `field ${path}`,
    offset !== undefined && `byte ${offset}`,
  ].filter((one) => one !== false);
  const values = [expected !== undefined && `expected ${expected}`, found !== undefined && `found ${found}`].filter(
    (one) => one !== false,
  );
  return [
    `godwit: ${message}${values.length > 0 ? `: ${values.join(", ")}` : ""} (${code})`,
    ...(place.length > 0 ? [`  at ${place.join(", ")}`] : []),
    ...(hint === undefined ? [] : [`  ${hint}`]),
  ];
}
