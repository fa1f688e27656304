// What checks see of each other: offers built from states, never from devices.
import type { Dependency, StagedIterable, View } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import { type Entry, nameOf, type Registry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import type { AnyRecord } from "../vmstate/types.ts";
import { atOnce } from "./synchronous.ts";

/** The states that have passed their check, and views on them. */
export class CheckedStates {
  readonly #registry: Registry;
  readonly #stagedOf: (entry: Entry) => StagedIterable;
  readonly #states = new Map<Entry, AnyRecord>();
  readonly #offers = new Map<Entry, unknown>();

  constructor(registry: Registry, stagedOf: (entry: Entry) => StagedIterable) {
    this.#registry = registry;
    this.#stagedOf = stagedOf;
  }

  set(entry: Entry, state: AnyRecord): void {
    this.#states.set(entry, state);
  }

  has(entry: Entry): boolean {
    return this.#states.has(entry);
  }

  get(entry: Entry): AnyRecord {
    return this.#states.get(entry) as AnyRecord;
  }

  viewOf(asking: Entry): View {
    return { offer: <T>(of: Dependency): T => this.#offer(asking, of) as T };
  }

  #offer(asking: Entry, of: Dependency): unknown {
    const found = this.#registry.resolve(of);
    const entry = found[0];
    if (entry === undefined || found.length > 1) throw noOffer(asking, of, found.length);
    if (entry.iterable !== undefined) return this.#stagedOf(entry).offer?.() ?? fail(asking, of);
    const { device } = entry;
    if (device?.offer === undefined) throw noOffer(asking, of, 1);
    const checked = this.#states.get(entry);
    // A state that is not checked yet offers nothing: what holds is what the local device is now.
    if (checked === undefined) return device.offer(atOnce(device.save(), "SAVE_ASYNC", "save"), this.viewOf(entry));
    if (!this.#offers.has(entry)) this.#offers.set(entry, device.offer(checked, this.viewOf(entry)));
    return this.#offers.get(entry);
  }
}

function fail(asking: Entry, of: Dependency): never {
  throw noOffer(asking, of, 1);
}

function noOffer(asking: Entry, of: Dependency, count: number): MigrationError {
  return new MigrationError(
    "DEPENDENCY_UNKNOWN",
    count > 1 ? "several devices answer to this name" : "nothing of this name offers anything",
    {
      section: sectionKey(asking),
      found: nameOf(of),
    },
  );
}
