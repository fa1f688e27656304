// Puts a whole machine's state in place: all of it, or none.
import type { Machine, StagedIterable } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import type { Entry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import type { AnyRecord } from "../vmstate/types.ts";
import type { Writer } from "../writer.ts";
import { Before } from "./before.ts";
import type { HandOn } from "./succeed.ts";
import { atOnce } from "./synchronous.ts";
import { attempt, failureOf, messageOf } from "./thrown.ts";

interface Taken {
  readonly entry: Entry;
  readonly state: AnyRecord;
  /** Made by this attempt: it has no state to go back to. */
  readonly isPlugged: boolean;
}

type Place = Pick<Entry, "idstr" | "instance">;

interface Host {
  readonly machine: Machine | undefined;
  /** Adds to `undo` what takes the device out again before the device is told that it is in. */
  readonly adopt: (entry: Entry, undo: (() => void)[]) => void;
}

const side = "destination" as const;

export class Takeover {
  readonly #taken: readonly Taken[];
  readonly #staged: readonly StagedIterable[];
  readonly #handOns: readonly HandOn[];
  readonly #host: Host;
  readonly #before: Before;
  readonly #committed: StagedIterable[] = [];
  /** What takes plugged devices out again, and handed-on states back, in the order in which that happened. */
  readonly #undo: (() => void)[] = [];
  /** Devices that have got their new state, or a part of it. */
  readonly #loaded: Entry[] = [];

  /** `taken` in the order in which it is loaded; `scratch` is in use until the takeover is over. */
  constructor(
    taken: readonly Taken[],
    staged: readonly StagedIterable[],
    handOns: readonly HandOn[],
    host: Host,
    scratch: Writer,
  ) {
    this.#taken = taken;
    this.#staged = staged;
    this.#handOns = handOns;
    this.#host = host;
    this.#before = new Before(scratch);
  }

  /** `DEVICE_FAILED` and nothing has changed, or `MACHINE_TORN` where even the way back failed. */
  apply(): void {
    for (const { entry, isPlugged } of this.#taken) if (!isPlugged) this.#keep(entry);
    const { machine } = this.#host;
    let at: Place | undefined;
    let step = "";
    try {
      machine?.holdInterrupts?.(true);
      for (const staged of this.#staged) {
        this.#committed.push(staged);
        staged.commit();
      }
      for (const { entry, state, isPlugged } of this.#taken) {
        at = entry;
        step = "plugged threw";
        if (isPlugged) this.#host.adopt(entry, this.#undo);
        else this.#loaded.push(entry);
        step = "load threw (a refusal belongs in check)";
        load(entry, state);
      }
      step = "handOn threw";
      for (const { old, take } of this.#handOns) {
        at = old;
        this.#undo.push(atOnce(take(), "DEVICE_ASYNC", "handOn"));
      }
      at = undefined;
      machine?.holdInterrupts?.(false);
    } catch (error) {
      throw this.failed(error, at, at ? step : "taking the state over threw");
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
  failed(cause: unknown, at: Place | undefined, detail: string): MigrationError {
    const failures: unknown[] = [];
    const { machine } = this.#host;
    attempt(failures, () => machine?.holdInterrupts?.(true));
    // The memory first: devices load their old state beside the memory that belongs to it.
    for (const staged of this.#committed.toReversed()) attempt(failures, () => staged.revert());
    for (const undo of this.#undo.toReversed()) attempt(failures, undo);
    // Forward, as every load: the clock first, and what others wait for before them.
    const stuck = this.#loaded
      .filter((entry) => !attempt(failures, () => load(entry, this.#before.of(entry))))
      .map(sectionKey);
    attempt(failures, () => machine?.holdInterrupts?.(false));
    const torn = failures.length > 0;
    return new MigrationError(
      torn ? "MACHINE_TORN" : "DEVICE_FAILED",
      torn
        ? `${detail}, and so did putting the old state back${stuck[0] ? `: load of ${stuck.join(", ")}` : ""}`
        : `${detail}; the machine is as before`,
      {
        side,
        section: at && sectionKey(at),
        found: messageOf(cause),
        cause: torn ? new AggregateError([cause, ...failures]) : cause,
      },
    );
  }

  #keep(entry: Entry): void {
    try {
      this.#before.keep(entry);
    } catch (error) {
      throw failureOf(error, "the device's save threw; nothing has changed", { side, section: sectionKey(entry) });
    }
  }
}

function load(entry: Entry, state: AnyRecord): void {
  atOnce(entry.device?.load(state) as unknown, "DEVICE_ASYNC", "load");
}
