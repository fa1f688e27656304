// Looks at every state that came, before any device is touched. What is refused is told as it stood on the wire.
import { isMigrationError, MigrationError } from "../errors.ts";
import type { Entry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import { toState } from "../vmstate/codec.ts";
import type { AnyRecord, Description } from "../vmstate/types.ts";
import { cloneValue } from "../vmstate/values.ts";
import type { Arrived } from "./arrived.ts";
import { offsetOf } from "./locate.ts";
import type { ArrivedRecord, Succeeded } from "./succeed.ts";
import { atOnce } from "./synchronous.ts";
import type { CheckedStates } from "./view.ts";

/** A state that came, and where errors about it are on the wire. */
interface Incoming {
  readonly section: string;
  readonly version: number;
  readonly state: () => AnyRecord;
  /** Offset in the stream of the field at `path`. */
  readonly offsetAt: (path: string | undefined) => number;
}

/** Asks the device's `check` what it thinks of its state; what is good is entered into `states`. */
export function check(
  entry: Entry,
  arrived: Arrived,
  succeeded: ReadonlyMap<Entry, Succeeded>,
  states: CheckedStates,
): void {
  const record = arrived.records.get(entry);
  const successor = succeeded.get(entry);
  if (record !== undefined) ask(entry, ofRecord(entry, record), arrived, states);
  else if (successor !== undefined) {
    const { old, arrived: from } = successor;
    const text = `from ${sectionKey(old)} version ${from.version}`;
    arrived.notes.push({ code: "former", section: sectionKey(entry), text });
    ask(entry, ofSuccessor(successor), arrived, states);
  } else if (entry.description?.needed !== undefined) {
    // What was not needed on the source is what its absence means, whatever the device holds here.
    states.set(entry, cloneValue(entry.description.absent as AnyRecord));
  }
}

function ofRecord(entry: Entry, { record, version, offset }: ArrivedRecord): Incoming {
  const description = entry.description as Description;
  return {
    section: sectionKey(entry),
    version,
    state: () => toState(description, record, version) as AnyRecord,
    offsetAt: (path) => offset + offsetOf(description, record, version, path),
  };
}

/** The old section, and in it the field, where both have the same. */
function ofSuccessor({ state, old, arrived }: Succeeded): Incoming {
  const { record, version, offset } = arrived;
  return {
    section: sectionKey(old),
    version,
    state: () => state,
    offsetAt: (path) =>
      old.succession.keepsPaths ? offset + offsetOf(old.description, record, version, path) : offset,
  };
}

function ask(entry: Entry, incoming: Incoming, arrived: Arrived, states: CheckedStates): void {
  const { section, version, offsetAt } = incoming;
  try {
    const state = incoming.state();
    const result = atOnce(entry.device?.check?.(state, states.viewOf(entry)), "DEVICE_ASYNC", "check");
    if (result !== undefined && "missing" in result) {
      throw new MigrationError("MEMORY_UNMAPPED", "the check needs memory that did not arrive", {
        found: `${result.missing.block}+0x${result.missing.offset.toString(16)}`,
      });
    }
    if (result !== undefined) {
      arrived.notes.push({ code: "amended", section: sectionKey(entry), text: result.note });
    }
    states.set(entry, result === undefined ? state : result.amended);
  } catch (error) {
    const at = { side: "destination" as const, section, version };
    if (!isMigrationError(error)) {
      throw new MigrationError("DEVICE_FAILED", "the device's check threw", { ...at, cause: error });
    }
    throw error.at({ ...at, offset: offsetAt(error.location.path) });
  }
}
