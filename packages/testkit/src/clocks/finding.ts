// What the clock harness finds, as data, and as the error that a test shows.

/** The stable codes; each with its meaning. */
export const clockCodes = {
  NOTHING_FIRED: "a device does not fire even where nothing is migrated, so that this test could not fail",
  NOT_DETERMINISTIC: "two runs on equal hosts differ: the machine reads a clock of its own, or chance",
  MACHINE_FAILED: "a save, a load or a run threw",
  HOST_TIME_STORED: "the saved state depends on the host's clock",
  FIRES_AT_ONCE: "a timer fires right after the load, before its deadline",
  NEVER_FIRES: "no timer of the device fires after the load",
  FIRING_LOST: "some deadlines fire after the load, others do not",
  FIRING_ADDED: "timers fire after the load that should not",
  FIRES_EARLY: "a timer fires before its deadline",
  FIRES_LATE: "a timer fires behind its deadline",
  WALL_CLOCK_WRONG: "the guest's real-time clock shows another time than its mode promises",
} as const;

export type ClockCode = keyof typeof clockCodes;

export interface ClockFinding {
  readonly code: ClockCode;
  /** The device's name as `fired()` gives it, or the section as `idstr/instance`. */
  readonly device: string;
  /** The field, for `HOST_TIME_STORED`, where the stream's own description tells it. */
  readonly path?: string;
  /** In plain words, with the moment and the destination. */
  readonly text: string;
  /** How many nanoseconds too late; negative for too early. */
  readonly lateNs?: bigint;
  /** In how many of the cases it was found; `text` tells the first. */
  readonly cases: number;
  readonly cause?: unknown;
}

/** Thrown by `checkClocks`: `code` is the first finding's. */
export class ClockError extends Error {
  readonly code: ClockCode;
  readonly findings: readonly ClockFinding[];

  constructor(findings: readonly ClockFinding[]) {
    const lines = findings.map(({ code, text, cases }) => `${code}: ${text}${cases > 1 ? ` (${cases} cases)` : ""}`);
    super(lines.join("\n"), { cause: findings.find(({ cause }) => cause !== undefined)?.cause });
    this.name = "ClockError";
    this.code = (findings[0] as ClockFinding).code;
    this.findings = findings;
  }
}

/** Collects findings: the same fault of the same device is one, however many cases show it. */
export class Findings {
  readonly #byKey = new Map<string, ClockFinding>();

  add(finding: Omit<ClockFinding, "cases">): void {
    const key = `${finding.code} ${finding.device} ${finding.path ?? ""}`;
    const known = this.#byKey.get(key);
    this.#byKey.set(key, known ? { ...known, cases: known.cases + 1 } : { ...finding, cases: 1 });
  }

  /** In the order of `clockCodes`: causes before what follows from them. */
  all(): readonly ClockFinding[] {
    const order = Object.keys(clockCodes);
    return [...this.#byKey.values()].sort((a, b) => order.indexOf(a.code) - order.indexOf(b.code));
  }
}
