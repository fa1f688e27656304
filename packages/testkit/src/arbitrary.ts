// States of any description, for property tests: complete, lawful, small, and shrinking to what matters.
import { type AnyRecord, cloneValue, type Description, type StateOf } from "@godwit/core";
import fc, { type Arbitrary } from "fast-check";
import { Built, type Draw } from "./arbitrary/built.ts";
import type { Unmet } from "./arbitrary/error.ts";
import { Maker } from "./arbitrary/maker.ts";
import { root } from "./arbitrary/place.ts";
import { type Override, Settings } from "./arbitrary/settings.ts";

export { ArbitraryError } from "./arbitrary/error.ts";
export type { Override } from "./arbitrary/settings.ts";

export interface ArbitraryOptions {
  /**
   * By description name (`virtio`) or field path without indices (`vqs[].last_avail_idx`; of a subsection, by its key):
   * makes the arbitrary that is used there of the one that would be. A field that others are counted by is drawn before
   * them, so they follow.
   */
  readonly override?: Readonly<Record<string, Override>>;
  /** States of a section that was written in this version: later fields are absent. The default is the newest. */
  readonly version?: number;
}

const warmUp = { seed: 1, numRuns: 16 };

/**
 * Complete states of a description, as its `postLoad` leaves them. Counters are what they count, conditions hold, checks
 * pass, and what does not travel is its `absent`; a subsection, or a whole section, that is not needed is its `absent`, too.
 * Numbers are at their edges (zero, the ends, the sign bit) one time in five. Tests that are functions are met by trying;
 * where hundreds of tries are in vain, generating throws an `ArbitraryError`.
 */
export function arbitraryOf<D extends Description>(
  description: D,
  options: ArbitraryOptions = {},
): Arbitrary<StateOf<D>> {
  const { override = {}, version = description.version } = options;
  const settings = new Settings(description.name, override);
  const build = (draw: Draw) =>
    sent(description, new Maker(draw, settings).body(description, version, undefined, root)) as StateOf<D>;
  const refused = (last: Unmet) => settings.refused(last);
  return new Built(build, refused, () => {
    fc.sample(new Built(build, refused), warmUp);
    settings.learned();
  });
}

/** What a destination has of the section: its absent state where it is not sent. */
function sent({ needed, absent }: Description, state: AnyRecord): AnyRecord {
  return needed === undefined || needed(state) ? state : (cloneValue(absent) as AnyRecord);
}
