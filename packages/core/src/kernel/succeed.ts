// What sections of earlier releases become: complete present states, as if the present release had saved them.
import { type ErrorLocation, isMigrationError, MigrationError } from "../errors.ts";
import type { OldSection, OldState, Succession } from "../registry/former.ts";
import type { Entry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import { decodeState, encodeState, toState } from "../vmstate/codec.ts";
import type { AnyRecord, Description, WireRecord } from "../vmstate/types.ts";
import { cloneValue } from "../vmstate/values.ts";
import { failureOf } from "./thrown.ts";

export interface ArrivedRecord {
  readonly record: WireRecord;
  readonly version: number;
  /** Offset of its first byte in the stream. */
  readonly offset: number;
}

/** A section of an earlier release that came. */
export interface ArrivedPart {
  readonly old: OldSection;
  readonly arrived: ArrivedRecord;
}

/** A present state, and what it was made of. */
export interface Succeeded {
  readonly state: AnyRecord;
  readonly parts: readonly ArrivedPart[];
}

/** A retired device's state, for the function that takes it. */
export interface HandOn {
  readonly old: OldSection;
  readonly take: () => () => void;
}

export interface Successors {
  readonly states: ReadonlyMap<Entry, Succeeded>;
  readonly handOns: readonly HandOn[];
}

/** The successions that sections arrived for. A part that is missing, or has come in two ways, is refused. */
export function successionsOf(
  arrived: ReadonlyMap<OldSection, ArrivedRecord>,
  has: (entry: Entry) => boolean,
  end: number,
): ReadonlySet<Succession> {
  const successions = new Set([...arrived.keys()].map((old) => old.succession));
  const fed = new Set<Entry>();
  for (const { from, into } of successions) {
    for (const old of from) {
      if (arrived.has(old) || old.description.needed !== undefined) continue;
      const there = from.filter((one) => arrived.has(one)).map(sectionKey);
      throw new MigrationError("SECTION_MISSING", `the stream has ${there.join(", ")}, which go with this section`, {
        section: sectionKey(old),
        offset: end,
      });
    }
    for (const entry of into) {
      if (!has(entry) && !fed.has(entry)) {
        fed.add(entry);
        continue;
      }
      const parts = partsOf(from, arrived);
      const detail = `"${sectionKey(entry)}" comes under an older name as well`;
      throw naming(new MigrationError("SECTION_DUPLICATE", detail, placeOf(parts, entry)), parts);
    }
  }
  return successions;
}

export function presentStates(
  arrived: ReadonlyMap<OldSection, ArrivedRecord>,
  successions: Iterable<Succession>,
): Successors {
  const states = new Map<Entry, Succeeded>();
  const handOns: HandOn[] = [];
  for (const { from, into, convert, handOn, isRename } of successions) {
    const parts = partsOf(from, arrived);
    try {
      const olds = from.map((one) => oldState(one, arrived.get(one)));
      const made = convert(olds);
      for (const [i, entry] of into.entries()) {
        const state = isRename ? (made[i] as AnyRecord) : completeState(entry, made[i]);
        states.set(entry, { state, parts });
      }
      const [only] = olds;
      if (handOn !== undefined) handOns.push({ old: from[0] as OldSection, take: () => handOn(only as OldState) });
    } catch (error) {
      const detail = "the conversion of what an earlier release wrote threw";
      throw naming(failureOf(error, detail, placeOf(parts, into[0])), parts);
    }
  }
  return { states, handOns };
}

function partsOf(from: readonly OldSection[], arrived: ReadonlyMap<OldSection, ArrivedRecord>): readonly ArrivedPart[] {
  return from.flatMap((old) => {
    const own = arrived.get(old);
    return own === undefined ? [] : [{ old, arrived: own }];
  });
}

/** Where errors about what these became are: in the old section, but in the present one where several might be at fault. */
export function placeOf([part, ...others]: readonly ArrivedPart[], into: Entry | undefined): ErrorLocation {
  if (part === undefined || others.length > 0) return { section: into && sectionKey(into) };
  const { version, offset } = part.arrived;
  return { section: sectionKey(part.old), version, offset };
}

/** The error, with all that the state was made of where `placeOf` names none of it. */
export function naming(error: MigrationError, parts: readonly ArrivedPart[]): MigrationError {
  if (parts.length < 2) return error;
  const { code, detail, location, expected, found, cause } = error;
  const text = `${detail} (made of ${parts.map(({ old }) => sectionKey(old)).join(", ")})`;
  return new MigrationError(code, text, { ...location, expected, found, cause });
}

function oldState({ description }: OldSection, arrived: ArrivedRecord | undefined): OldState {
  if (arrived === undefined)
    return { state: cloneValue(description.absent as AnyRecord), version: description.version };
  return { state: toState(description, arrived.record, arrived.version) as AnyRecord, version: arrived.version };
}

/** Through bytes once: what a conversion forgot is named, and devices that share its arrays get their own. */
function completeState(entry: Entry, state: unknown): AnyRecord {
  const description = entry.description as Description;
  try {
    return decodeState(description, encodeState(description, state as AnyRecord)) as AnyRecord;
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    const { path, ...rest } = error.location;
    throw new MigrationError(error.code, `the state that it becomes for "${sectionKey(entry)}": ${error.detail}`, {
      ...rest,
      path,
      expected: error.expected,
      found: error.found,
    });
  }
}
