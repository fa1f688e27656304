// Sections of earlier releases: which present devices each becomes, and how. Renames, splits, merges and retirements are
// one thing here: some old sections make the states of some present devices.
import type { Former, FormerPlace } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import { atOnce } from "../kernel/synchronous.ts";
import { sectionKey } from "../stream/sections.ts";
import type { AnyRecord, Description, Subsection } from "../vmstate/types.ts";
import type { Entry } from "./registry.ts";

/** A section that earlier releases wrote. */
export interface OldSection {
  readonly idstr: string;
  readonly instance: number;
  readonly description: Description;
  readonly succession: Succession;
}

/** A section's state, and the version that it was written in. */
export interface OldState {
  readonly state: AnyRecord;
  readonly version: number;
}

export interface Succession {
  readonly from: readonly OldSection[];
  readonly into: readonly Entry[];
  /** True where the old section's fields are the present ones: paths in it mean the same. */
  readonly keepsPaths: boolean;
  /** True where the present description itself reads the old section: its state is complete as it is. */
  readonly isRename: boolean;
  /** The states of `into`, in its order. */
  readonly convert: (old: readonly OldState[]) => readonly AnyRecord[];
  /** Of what has no successor; gives what undoes it. */
  readonly handOn: ((old: OldState) => () => void) | undefined;
}

/**
 * A former section that another description reads, and what makes the present state of it. `convert` is pure; it gets
 * the old state and the version that the section was written in.
 */
export function former<D extends Description, S>(
  description: D,
  init: FormerPlace & {
    readonly convert: (state: D extends Description<infer O> ? O : never, version: number) => S;
  },
): Former<S> {
  return { ...init, description, convert: init.convert as (state: AnyRecord, version: number) => S };
}

type Place = { readonly idstr: string; readonly instance: number };

export function placeOf(name: string, { path, instance = 0 }: FormerPlace): Place {
  return path === undefined ? { idstr: name, instance } : { idstr: `${path}/${name}`, instance };
}

export type SuccessionInit = Omit<Succession, "from" | "keepsPaths" | "isRename"> &
  Partial<Pick<Succession, "keepsPaths" | "isRename">> & {
    readonly from: readonly (Place & { readonly description: Description })[];
  };

export function succession({ from, ...rest }: SuccessionInit): Succession {
  const made: Succession = { keepsPaths: false, isRename: false, ...rest, from: [] };
  (made.from as OldSection[]).push(...from.map((old) => ({ ...old, succession: made })));
  refuseMeaningless(made);
  return made;
}

/** Old sections that may all be missing, for a device that may not, would leave old saves without a meaning. */
function refuseMeaningless({ from, into }: Succession): void {
  const [first] = from;
  const refuse = (why: string, found?: string): never => {
    throw new MigrationError("DEFINITION_INVALID", why, { side: "define", section: first && sectionKey(first), found });
  };
  if (first === undefined) refuse("no section of an earlier release is named");
  const bad = from.find(({ instance }) => !isInstance(instance));
  if (bad !== undefined) refuse("an instance id is an integer from 0 to 2^32 - 1", String(bad.instance));
  if (new Set(into).size < into.length) refuse("one device is named twice");
  const strict = into.find((entry) => entry.description?.needed === undefined);
  if (strict !== undefined && from.every((old) => old.description.needed !== undefined)) {
    refuse(`an optional section becomes "${sectionKey(strict)}", which says with \`absent\` what its absence means`);
  }
}

/** What `formerly` of a device says, one succession each. */
export function successionOf(entry: Entry, given: string | Former<AnyRecord>): Succession {
  const own = entry.description as Description;
  const { name, path, instance, description, convert }: Former<AnyRecord> =
    typeof given === "string" ? { name: given } : given;
  if (description !== undefined && name !== undefined && name !== description.name) {
    throw new MigrationError("DEFINITION_INVALID", `a former section is named "${name}" and "${description.name}"`, {
      side: "define",
      section: entry.idstr,
    });
  }
  const old = description ?? renamed(own, name ?? own.name);
  const number = instance ?? (path === undefined ? bareInstance(entry) : 0);
  return succession({
    from: [{ ...placeOf(old.name, { ...(path === undefined ? {} : { path }), instance: number }), description: old }],
    into: [entry],
    keepsPaths: convert === undefined,
    isRename: convert === undefined && description === undefined,
    convert: ([first]) => {
      const { state, version } = first as OldState;
      return [convert === undefined ? state : converted(() => convert(state, version))];
    },
    handOn: undefined,
  });
}

/**
 * The instance that a device's old name without a path had. The order of registration may differ between machines: it
 * says nothing here, unless the device asked for that with "auto".
 */
function bareInstance({ compat, device, instance }: Entry): number {
  if (compat === undefined) return instance;
  return device?.instance === undefined ? 0 : compat.instance;
}

export function isInstance(instance: number): boolean {
  return Number.isInteger(instance) && instance >= 0 && instance <= 0xffff_ffff;
}

/** A conversion is one instant, as `check` and `load` are. */
export function converted<S>(convert: () => S): S {
  return atOnce(convert(), "DEVICE_ASYNC", "convert");
}

/** A subsection's name begins with the name of what holds it: renaming the one renames the other. */
function renamed(description: Description, name: string): Description {
  if (name === description.name) return description;
  const subsections: Record<string, Subsection> = {};
  for (const [key, own] of Object.entries(description.subsections)) {
    const rest = own.description.name.slice(description.name.length);
    subsections[key] = Object.freeze({ ...own, description: renamed(own.description, name + rest) });
  }
  return Object.freeze({ ...description, name, subsections: Object.freeze(subsections) });
}
