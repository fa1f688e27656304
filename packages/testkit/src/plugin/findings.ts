// What the checks of a plugin find, as data, and as the error that a test shows. Codes are API; sentences are not.
import { type ClockCode, clockCodes } from "../clocks/finding.ts";

/** The checks, in the order in which they run, each with what it proves. */
export const checks = {
  manifest: "the plugin says who it is, and registers something",
  saves: "what the devices have done is saved, twice alike, and comes back out of a second machine",
  states: "generated states go through a stream into a second machine, and come back out of it",
  laws: "bytes become a record and the same bytes; a state becomes bytes and the same state",
  refusals: "cut and damaged streams are refused with a MigrationError, and the machine is as before",
  versions: "every older version that a description claims to read is read",
  order: "whatever order the sections come in, and the devices load in, the machine is the same",
  hosts: "nothing that is saved depends on the host's clocks, or on chance",
  clocks: "timers fire after a load at the virtual times at which they fire without one",
  runtime: "no runtime's API is used",
  allocation: "what is allocated on a load is in proportion to what has come",
  independence: "two machines in one process have nothing in common",
  goldens: "the bytes are those of the published versions, or their change is one that versions may bring",
} as const;

export type CheckName = keyof typeof checks;

interface CodeText {
  readonly says: string;
  readonly remedy: string;
}

/** The codes of the plugin checks themselves; those of `clocks` come beside them. */
const ownCodes = {
  SETUP_FAILED: {
    says: "`setup`, `exercise`, `goOn` or `teardown` threw, so that nothing could be tested",
    remedy: "mend the test's own functions, or the plugin's `setup`",
  },
  NOTHING_REGISTERED: {
    says: "the plugin registers no section",
    remedy: "take the plugin in with `bench.use(plugin)`; companions alone are taken in with `bench.kernel.use`",
  },
  MANIFEST_INVALID: {
    says: "the plugin's name, version or contract is not what a machine's manifest can carry",
    remedy: "give the package's name, its version as in package.json (1.2.3), and the whole number of the contract",
  },
  EXERCISE_IDLE: {
    says: "`exercise` leaves the saved state as it was, so that real saves prove nothing",
    remedy: "let it program the devices, as a guest does",
  },
  SAVE_FAILED: {
    says: "a save threw",
    remedy:
      "let `save` give the complete state, each value within its field; what cannot be cut in two belongs in `quiesce`",
  },
  SAVE_CHANGES_DEVICE: {
    says: "two saves of a machine that stands differ",
    remedy: "let `save` only look: it must not change the device, and read no counter, clock or chance of its own",
  },
  SUBSECTION_LOST: {
    says: "a state differs from its `absent` where it does not travel, and would be lost",
    remedy: "let `needed` (or the field's condition) be true whenever the value differs from `absent`",
  },
  STATE_LOST: {
    says: "a state that was loaded does not come back out of `save`",
    remedy: "let `load` take over every described field, and `save` give it back as it is",
  },
  STATE_HIDDEN: {
    says: "what goes on after a load is not what goes on without one",
    remedy: "describe all that the device needs to go on; let `save` tell what is now, and not what was loaded",
  },
  LOAD_FAILED: {
    says: "`load` or `ready` threw on a state that `check` had accepted",
    remedy: "move the refusal into `check`, as a thrown MigrationError: `load` must not fail on what a stream can hold",
  },
  LOAD_REFUSED: {
    says: "a real save is refused by a second machine of the same make",
    remedy: "let `check` accept every state that the device can reach",
  },
  CHECK_FAILED: {
    says: "`check` or `offer` threw something that is no MigrationError",
    remedy: "refuse with `throw new MigrationError(code, detail, { path })`; expect every value that a field can hold",
  },
  CHECK_CHANGES_DEVICE: {
    says: "a device has changed though nothing was loaded: it was only checked",
    remedy: "let `check` and `offer` work on the state alone; what touches the device belongs in `load`",
  },
  CHECK_CHANGES_STATE: {
    says: "`check` or `offer` wrote to the state that it was shown",
    remedy: "answer `{ amended, note }` with a state of its own",
  },
  DECODER_FAILED: {
    says: "reading a section threw something that is no MigrationError",
    remedy: "let custom fields, `postLoad` and decoders refuse with a MigrationError, and expect every byte",
  },
  MACHINE_CHANGED: {
    says: "a stream was refused, and the machine is not as before",
    remedy: "change nothing of the device before `load`: iterables stage what comes, and `commit` or `revert` it",
  },
  MACHINE_TORN: {
    says: "a load failed, and the old state could not be put back",
    remedy: "let `load` accept every state that `save` gave; let `revert` not throw",
  },
  MOSTLY_REFUSED: {
    says: "more than half of the generated states are refused, so that the check proves little",
    remedy: 'say how fields are tied together: `arbitrary: { "idstr": (base) => base.map(...) }` in the plugin\'s test',
  },
  LAW_BYTES: {
    says: "bytes were decoded, and encode to other bytes",
    remedy: "let a custom field keep in its value all that was on the wire, and encode it in the same order",
  },
  LAW_STATE: {
    says: "a state was encoded, and decodes to another state",
    remedy: "let `preSave` and `postLoad`, and a custom field's `encode` and `end`, be each other's inverse",
  },
  VERSION_UNREADABLE: {
    says: "a version that the description claims to read is not read",
    remedy: "raise `minimumVersion`, or let `absent`, `postLoad` and `check` expect what that version did not have",
  },
  ORDER_DEPENDENT: {
    says: "the machine is another one when independent devices load in another order",
    remedy: "name what must be loaded before in `after: [...]`; in `check`, look at others through `view` only",
  },
  CHANCE_STORED: {
    says: "the saved state depends on `Math.random` or `crypto`",
    remedy: "draw such a number once, in the device, and keep it in a described field",
  },
  RUNTIME_API_USED: {
    says: "a source names a runtime's API, which the other runtimes do not have",
    remedy: "let the assembler of the machine hand it in as an option; ES2023 alone is everywhere",
  },
  SOURCES_EMPTY: {
    says: "the folder `sources` holds no TypeScript or JavaScript, so that nothing was scanned",
    remedy: 'give the folder of what is published, such as `new URL("../src/", import.meta.url)`',
  },
  ALLOCATION_UNBOUNDED: {
    says: "a load allocates out of proportion to the bytes that came",
    remedy:
      "bound the count in the description (`range`, `max`), or refuse it in `check` before anything is made from it",
  },
  STATE_SHARED: {
    says: "one machine's devices change when another machine's are used",
    remedy: "keep state in the object that `setup` makes, none at module level, and share no array between devices",
  },
  GOLDEN_MISSING: {
    says: "this version's bytes are not on record",
    remedy: "run the tests once with GODWIT_GOLDENS=write, look at the new file, and commit it",
  },
  GOLDEN_INVALID: {
    says: "a golden file cannot be read",
    remedy: "take it back from the repository's history: golden files are written once, and never edited",
  },
  GOLDEN_UNREADABLE: {
    says: "what a published version wrote is not read any more, or means another state",
    remedy:
      "keep reading it: `since`, `until`, `minimumVersion`, subsections, `formerly`; or, if that version was never out, delete its golden file",
  },
  WIRE_CHANGED: {
    says: "the bytes are not those of the published version, and the plugin's version does not say so",
    remedy:
      "take the change back; or raise the description's version (or use a subsection), and the plugin's minor version at least; or, if that version was never out, delete its golden file and write it anew",
  },
  WIRE_BROKEN: {
    says: "the change of the wire breaks saves of a published version, or would be misread by it",
    remedy: "raise the description's version and keep reading the old one, or move what is new into a subsection",
  },
} as const satisfies Readonly<Record<string, CodeText>>;

export type PluginCode = keyof typeof ownCodes | ClockCode;

const clockRemedies: Readonly<Record<ClockCode, string>> = {
  NOTHING_FIRED: "let `clocks.start` program a timer that fires before `untilNs`",
  NOT_DETERMINISTIC: "take time from the bench's clock and chance from `random`",
  MACHINE_FAILED: "see the error that is its cause",
  HOST_TIME_STORED: "keep time as virtual nanoseconds of `kernel.clock`; a deadline is a `timer` field",
  FIRES_AT_ONCE: "arm with the deadline that was saved, and not with what was left of it",
  NEVER_FIRES: "arm the timer in `load`",
  FIRING_LOST: "save the deadline itself, and arm with it in `load`",
  FIRING_ADDED: "cancel in `load` what was armed before",
  FIRES_EARLY: "save the deadline itself, in virtual nanoseconds",
  FIRES_LATE: "save the deadline itself, in virtual nanoseconds; a period is added to the deadline, not to `now`",
  WALL_CLOCK_WRONG: "use a `wallClock` of core, in the mode that the guest expects",
};

const fromClocks = Object.fromEntries(
  Object.entries(clockCodes).map(([code, says]) => [code, { says, remedy: clockRemedies[code as ClockCode] }]),
) as Record<ClockCode, CodeText>;

/** Every code, with what it says and what to do about it. */
export const pluginCodes: Readonly<Record<PluginCode, CodeText>> = { ...ownCodes, ...fromClocks };

export interface PluginFinding {
  readonly code: PluginCode;
  readonly check: CheckName;
  /** As `idstr/instance`. */
  readonly section?: string;
  /** The field, such as `vqs[1].last_avail_idx`; of a source, `file:line`. */
  readonly path?: string;
  /** What was found, in a sentence. */
  readonly text: string;
  /** What to do about it. */
  readonly remedy: string;
  readonly cause?: unknown;
}

/** Thrown by a check's `run`; `code` is the first finding's. */
export class PluginError extends Error {
  readonly code: PluginCode;
  readonly findings: readonly PluginFinding[];

  constructor(findings: readonly PluginFinding[]) {
    super(findings.map(said).join("\n"), { cause: findings.find(({ cause }) => cause !== undefined)?.cause });
    this.name = "PluginError";
    this.code = (findings[0] as PluginFinding).code;
    this.findings = findings;
  }
}

function said({ code, section, path, text, remedy }: PluginFinding): string {
  const place = [section, path].filter((part) => part !== undefined).join(" ");
  return `${code}${place === "" ? "" : ` (${place})`}: ${text}\n  what to do: ${remedy}`;
}

/** What a check says of a finding; the rest follows from its code. */
export interface Found {
  readonly section?: string | undefined;
  readonly path?: string | undefined;
  readonly text?: string;
  readonly cause?: unknown;
}

/** Collects one check's findings: the same fault at the same place is one, and the first case tells it. */
export class Findings {
  readonly #check: CheckName;
  readonly #byPlace = new Map<string, PluginFinding>();

  constructor(check: CheckName) {
    this.#check = check;
  }

  add(code: PluginCode, { section, path, text, cause }: Found = {}): void {
    const place = [code, section, path?.replaceAll(/\[\d+\]/g, "[]")].join(" ");
    if (this.#byPlace.has(place)) return;
    const { says, remedy } = pluginCodes[code];
    this.#byPlace.set(place, {
      code,
      check: this.#check,
      ...(section !== undefined && { section }),
      ...(path !== undefined && { path }),
      text: text === undefined ? says : `${says}: ${text}`,
      remedy,
      ...(cause !== undefined && { cause }),
    });
  }

  has(code: PluginCode, section?: string): boolean {
    return this.all().some((one) => one.code === code && (section === undefined || one.section === section));
  }

  all(): readonly PluginFinding[] {
    return [...this.#byPlace.values()];
  }
}
