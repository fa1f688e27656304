// Looks at every state that came, before any device is touched. What is refused is told as it stood on the wire.
import { type ErrorLocation, isMigrationError, MigrationError } from "../errors.ts";
import type { Entry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import { toState } from "../vmstate/codec.ts";
import type { AnyRecord, Description } from "../vmstate/types.ts";
import { cloneValue } from "../vmstate/values.ts";
import type { Arrived } from "./arrived.ts";
import { offsetOf } from "./locate.ts";
import { type ArrivedPart, type ArrivedRecord, naming, placeOf, type Succeeded } from "./succeed.ts";
import { atOnce } from "./synchronous.ts";
import { failureOf } from "./thrown.ts";
import type { CheckedStates } from "./view.ts";

/** A state that came, and where errors about it are on the wire. */
interface Incoming {
  readonly state: () => AnyRecord;
  /** The place in the stream of the field at `path`. */
  readonly placeOf: (path: string | undefined) => ErrorLocation;
  /** What the state was made of, where it did not come as it is. */
  readonly parts: readonly ArrivedPart[];
}

/** Memory that a check cannot do without. */
export interface MissingMemory {
  readonly block: string;
  readonly offset: number;
}

/**
 * Asks the device's `check` what it thinks of its state; what is good is entered into `states`. With `waits`, the answer
 * may be what it misses: it is to be asked again.
 */
export function check(
  entry: Entry,
  arrived: Arrived,
  succeeded: ReadonlyMap<Entry, Succeeded>,
  states: CheckedStates,
  waits: boolean,
): MissingMemory | undefined {
  const record = arrived.records.get(entry);
  const successor = succeeded.get(entry);
  if (record !== undefined) return ask(entry, ofRecord(entry, record), arrived, states, waits);
  if (successor !== undefined) {
    const from = successor.parts.map((part) => `${sectionKey(part.old)} version ${part.arrived.version}`);
    const note = { code: "former", section: sectionKey(entry), text: `from ${from.join(", ")}` };
    const { length } = arrived.notes;
    const missing = ask(entry, ofSuccessor(entry, successor), arrived, states, waits);
    if (missing === undefined) arrived.notes.splice(length, 0, note);
    return missing;
  }
  if (entry.description?.needed !== undefined) {
    // What was not needed on the source is what its absence means, whatever the device holds here.
    states.set(entry, cloneValue(entry.description.absent as AnyRecord));
  }
  return undefined;
}

function ofRecord(entry: Entry, { record, version, offset }: ArrivedRecord): Incoming {
  const description = entry.description as Description;
  return {
    state: () => toState(description, record, version) as AnyRecord,
    placeOf: (path) => ({
      section: sectionKey(entry),
      version,
      offset: offset + offsetOf(description, record, version, path),
    }),
    parts: [],
  };
}

/** The old section, and in it the field, where both have the same; the present one, where it was made of several. */
function ofSuccessor(entry: Entry, { state, parts }: Succeeded): Incoming {
  const [{ old, arrived }] = parts as readonly [ArrivedPart];
  const { record, version, offset } = arrived;
  const within = (path: string | undefined) =>
    old.succession.keepsPaths ? { offset: offset + offsetOf(old.description, record, version, path) } : {};
  return { state: () => state, placeOf: (path) => ({ ...placeOf(parts, entry), ...within(path) }), parts };
}

function ask(
  entry: Entry,
  incoming: Incoming,
  arrived: Arrived,
  states: CheckedStates,
  waits: boolean,
): MissingMemory | undefined {
  const { parts } = incoming;
  let asked = "the description's postLoad";
  try {
    const state = incoming.state();
    asked = "the device's check";
    const result = atOnce(entry.device?.check?.(state, states.viewOf(entry)), "DEVICE_ASYNC", "check");
    if (result !== undefined && "missing" in result) {
      if (waits) return result.missing;
      throw new MigrationError("MEMORY_UNMAPPED", "the check needs memory that did not arrive", {
        found: `${result.missing.block}+0x${result.missing.offset.toString(16)}`,
      });
    }
    if (result !== undefined) {
      arrived.notes.push({ code: "amended", section: sectionKey(entry), text: result.note });
    }
    states.set(entry, result === undefined ? state : result.amended);
    return undefined;
  } catch (error) {
    // Its path may have grown on the way through the device: the place is the cause.
    if (waits && isMigrationError(error) && error.code === "PAGE_ABSENT") return error.cause as MissingMemory;
    const path = isMigrationError(error) ? error.location.path : undefined;
    const at = { side: "destination" as const, ...incoming.placeOf(path) };
    throw naming(failureOf(error, `${asked} threw`, at), parts);
  }
}
