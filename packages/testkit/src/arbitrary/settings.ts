// What all states of one arbitrary have in common: the arbitraries of single values, what the caller replaced, and what
// was learned about the description before the first state.
import type { Description } from "@godwit/core";
import type { Arbitrary } from "fast-check";
import { countersOf } from "./counts.ts";
import { ArbitraryError, type Unmet } from "./error.ts";
import { Values } from "./values.ts";

/** Makes the arbitrary that is used of the one that would be. */
// biome-ignore lint/suspicious/noExplicitAny: a path does not tell the type of what stands there
export type Override = (base: Arbitrary<any>) => Arbitrary<any>;

export class Settings {
  readonly values = new Values();
  readonly #name: string;
  readonly #overrides: Readonly<Record<string, Override>>;
  readonly #counters = new WeakMap<Description, ReadonlyMap<string, number>>();
  readonly #calm = new Set<string>();
  #learning = true;

  constructor(name: string, overrides: Readonly<Record<string, Override>>) {
    this.#name = name;
    this.#overrides = overrides;
  }

  ofDescription({ name }: Description): Override | undefined {
    return Object.hasOwn(this.#overrides, name) ? this.#overrides[name] : undefined;
  }

  ofPath(path: string): Override | undefined {
    return Object.hasOwn(this.#overrides, path) ? this.#overrides[path] : undefined;
  }

  countersOf(description: Description): ReadonlyMap<string, number> {
    let counters = this.#counters.get(description);
    if (counters === undefined) {
      counters = countersOf(description);
      this.#counters.set(description, counters);
    }
    return counters;
  }

  /** Whether the field at this path had to be small before. */
  isCalm(path: string): boolean {
    return this.#calm.has(path);
  }

  /** Only before the first state: what a seed gives must not depend on how often it was asked. */
  learn(path: string): void {
    if (this.#learning) this.#calm.add(path);
  }

  learned(): void {
    this.#learning = false;
  }

  refused(last: Unmet): ArbitraryError {
    return new ArbitraryError(this.#name, last);
  }
}
