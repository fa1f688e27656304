// What sections of earlier releases become: complete present states, as if the present release had saved them.
import { isMigrationError, MigrationError } from "../errors.ts";
import type { OldSection, OldState, Succession } from "../registry/former.ts";
import type { Entry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import { decodeState, encodeState, toState } from "../vmstate/codec.ts";
import type { AnyRecord, Description, WireRecord } from "../vmstate/types.ts";
import { cloneValue } from "../vmstate/values.ts";

export interface ArrivedRecord {
  readonly record: WireRecord;
  readonly version: number;
  /** Offset of its first byte in the stream. */
  readonly offset: number;
}

/** A present state, and the section of an earlier release that the errors about it name. */
export interface Succeeded {
  readonly state: AnyRecord;
  readonly old: OldSection;
  readonly arrived: ArrivedRecord;
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
export function begun(
  arrived: ReadonlyMap<OldSection, ArrivedRecord>,
  has: (entry: Entry) => boolean,
  end: number,
): ReadonlySet<Succession> {
  const successions = new Set([...arrived.keys()].map((old) => old.succession));
  const fed = new Set<Entry>();
  for (const { from, into } of successions) {
    for (const old of from) {
      if (arrived.has(old) || old.description.needed !== undefined) continue;
      const others = from.filter((one) => one !== old).map(sectionKey);
      throw new MigrationError("SECTION_MISSING", `the stream has ${others.join(", ")}, which go with this section`, {
        section: sectionKey(old),
        offset: end,
      });
    }
    for (const entry of into) {
      if (!has(entry) && !fed.has(entry)) {
        fed.add(entry);
        continue;
      }
      const twice = from.find((old) => arrived.has(old)) as OldSection;
      throw new MigrationError("SECTION_DUPLICATE", `"${sectionKey(entry)}" comes under an older name as well`, {
        section: sectionKey(twice),
        offset: arrived.get(twice)?.offset,
      });
    }
  }
  return successions;
}

export function succeed(
  arrived: ReadonlyMap<OldSection, ArrivedRecord>,
  successions: Iterable<Succession>,
): Successors {
  const states = new Map<Entry, Succeeded>();
  const handOns: HandOn[] = [];
  for (const { from, into, convert, handOn, isRename } of successions) {
    const old = from.find((one) => arrived.has(one)) as OldSection;
    const first = arrived.get(old) as ArrivedRecord;
    try {
      const olds = from.map((one) => oldState(one, arrived.get(one)));
      const made = convert(olds);
      for (const [i, entry] of into.entries()) {
        const state = isRename ? (made[i] as AnyRecord) : complete(entry, made[i]);
        states.set(entry, { state, old, arrived: first });
      }
      const [only] = olds;
      if (handOn !== undefined) handOns.push({ old, take: () => handOn(only as OldState) });
    } catch (error) {
      const at = { section: sectionKey(old), version: first.version, offset: first.offset };
      if (isMigrationError(error)) throw error.at(at);
      throw new MigrationError("DEVICE_FAILED", "the conversion of an earlier release's section threw", {
        ...at,
        found: error instanceof Error ? error.message : String(error),
        cause: error,
      });
    }
  }
  return { states, handOns };
}

function oldState({ description }: OldSection, arrived: ArrivedRecord | undefined): OldState {
  if (arrived === undefined)
    return { state: cloneValue(description.absent as AnyRecord), version: description.version };
  return { state: toState(description, arrived.record, arrived.version) as AnyRecord, version: arrived.version };
}

/** Through bytes once: what a conversion forgot is named, and devices that share its arrays get their own. */
function complete(entry: Entry, state: unknown): AnyRecord {
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
