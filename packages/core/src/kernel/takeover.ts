// Puts a whole machine's state in place: all of it, or none.
import type { Machine, StagedIterable } from "../contract.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import type { Entry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import type { AnyRecord } from "../vmstate/types.ts";
import { cloneValue } from "../vmstate/values.ts";
import { atOnce } from "./synchronous.ts";

interface Taken {
  readonly entry: Entry;
  readonly state: AnyRecord;
}

const side = "destination" as const;

export class Takeover {
  readonly #taken: readonly Taken[];
  readonly #staged: readonly StagedIterable[];
  readonly #machine: Machine | undefined;
  /** What devices held before; the way back. */
  #before: readonly AnyRecord[] = [];
  #committed: StagedIterable[] = [];
  #loaded: number[] = [];

  /** `taken` in the order in which it is loaded. */
  constructor(taken: readonly Taken[], staged: readonly StagedIterable[], machine: Machine | undefined) {
    this.#taken = taken;
    this.#staged = staged;
    this.#machine = machine;
  }

  /** `DEVICE_FAILED` and nothing has changed, or `MACHINE_TORN` where even the way back failed. */
  apply(): void {
    this.#before = this.#taken.map(({ entry }) => this.#guarded("save", entry, () => cloneValue(entry.device?.save())));
    let at: Entry | undefined;
    try {
      this.#machine?.holdInterrupts?.(true);
      for (const staged of this.#staged) {
        this.#committed.push(staged);
        staged.commit();
      }
      for (const [i, { entry, state }] of this.#taken.entries()) {
        at = entry;
        this.#loaded.push(i);
        load(entry, state);
      }
      at = undefined;
      this.#machine?.holdInterrupts?.(false);
    } catch (error) {
      throw this.failed(error, at, "taking the state over threw");
    }
  }

  /** Waits for every `ready`, in load order; a failure takes everything back. */
  async ready(): Promise<void> {
    for (const { entry } of this.#taken) {
      try {
        await entry.device?.ready?.();
      } catch (error) {
        throw this.failed(error, entry, "a device did not get ready");
      }
    }
  }

  /** Undoes what was applied, and makes the error that says how that went. */
  failed(cause: unknown, at: Entry | undefined, detail: string): MigrationError {
    const failures: unknown[] = [];
    const attempt = (work: () => void) => {
      try {
        work();
      } catch (error) {
        failures.push(error);
      }
    };
    attempt(() => this.#machine?.holdInterrupts?.(true));
    for (const staged of this.#committed.toReversed()) attempt(() => staged.revert());
    for (const i of this.#loaded.toReversed()) {
      const { entry } = this.#taken[i] as Taken;
      attempt(() => load(entry, this.#before[i] as AnyRecord));
    }
    attempt(() => this.#machine?.holdInterrupts?.(false));
    const torn = failures.length > 0;
    return new MigrationError(
      torn ? "MACHINE_TORN" : "DEVICE_FAILED",
      torn ? `${detail}, and so did putting the old state back` : `${detail}; the machine is as before`,
      {
        side,
        section: at && sectionKey(at),
        found: describe(cause),
        cause: torn ? new AggregateError([cause, ...failures]) : cause,
      },
    );
  }

  #guarded<T>(what: string, entry: Entry, work: () => T): AnyRecord {
    try {
      return atOnce(work(), "SAVE_ASYNC", "save") as AnyRecord;
    } catch (cause) {
      const section = sectionKey(entry);
      if (isMigrationError(cause)) throw cause.at({ side, section });
      throw new MigrationError("DEVICE_FAILED", `the device's ${what} threw; nothing has changed`, {
        side,
        section,
        cause,
      });
    }
  }
}

function load(entry: Entry, state: AnyRecord): void {
  atOnce(entry.device?.load(state) as unknown, "DEVICE_ASYNC", "load");
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
