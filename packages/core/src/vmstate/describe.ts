// vmstate() and subsection(): from a literal to a frozen, checked description.
import { MigrationError } from "../errors.ts";
import type { Spec } from "./spec.ts";
import type {
  AnyRecord,
  Description,
  Field,
  Fields,
  Priority,
  Scope,
  StateFrom,
  Subsection,
} from "./types.ts";
import { utf8Length } from "../utf8.ts";

type Subsections = Readonly<Record<string, Subsection>>;

interface Common<F extends Fields, S extends Subsections> {
  /** The name on the wire; a subsection's begins with the name of the description that holds it. */
  readonly name: string;
  readonly version: number;
  /** The oldest version that is still read; the default is `version`. */
  readonly minimumVersion?: number;
  readonly fields: F;
  readonly subsections?: S;
  /** Pure: the state that is written instead of the one that `save` gave. */
  readonly preSave?: (state: StateFrom<F, S>) => StateFrom<F, S>;
  /** Pure: the state that `check` and `load` see instead of the one that was read. */
  readonly postLoad?: (state: StateFrom<F, S>, version: number) => StateFrom<F, S>;
}

export interface VmstateInit<F extends Fields, S extends Subsections> extends Common<F, S> {
  readonly priority?: Priority;
  readonly unmigratable?: string;
  readonly earlySetup?: boolean;
  /** Whether the section is sent at all; without it, always. */
  readonly needed?: (state: StateFrom<F, S>) => boolean;
}

export interface SubsectionInit<F extends Fields, S extends Subsections> extends Common<F, S> {
  /** Whether the subsection's state must travel; without it, always. */
  readonly needed?: (own: StateFrom<F, S>, scope: Scope) => boolean;
  /** What a destination assumes where the subsection did not come. */
  readonly absent: NoInfer<StateFrom<F, S>> | ((scope: Scope) => NoInfer<StateFrom<F, S>>);
}

/**
 * Describes the state of a device: which fields, in which order, from which version on. The result is plain frozen
 * data with an inferred state type (`StateOf<typeof d>`). A malformed description throws `DEFINITION_INVALID`.
 */
export function vmstate<const F extends Fields, const S extends Subsections = Record<never, never>>(
  init: VmstateInit<F, S>,
): Description<StateFrom<F, S>> {
  return build(init as unknown as VmstateInit<Fields, Subsections>) as Description<StateFrom<F, S>>;
}

/** Describes a part that travels only when it is needed; older receivers load the stream while it is not. */
export function subsection<const F extends Fields, const S extends Subsections = Record<never, never>>(
  init: SubsectionInit<F, S>,
): Subsection<StateFrom<F, S>> {
  const { needed, absent, ...rest } = init;
  const description = build(rest as unknown as VmstateInit<Fields, Subsections>) as Description<StateFrom<F, S>>;
  return Object.freeze({
    description,
    needed: (needed ?? (() => true)) as (own: AnyRecord, scope: Scope) => boolean,
    absent: absent as StateFrom<F, S> | ((scope: Scope) => StateFrom<F, S>),
  });
}

function build(init: VmstateInit<Fields, Subsections>): Description {
  const { name, version, minimumVersion = version, fields, subsections = {} } = init;
  const refuse = (why: string): never => {
    throw new MigrationError("DEFINITION_INVALID", `description "${name}": ${why}`, { side: "define" });
  };
  const nameBytes = utf8Length(name);
  if (nameBytes === 0 || nameBytes > 255) refuse("a name has 1 to 255 bytes");
  if (!isVersion(version) || !isVersion(minimumVersion) || minimumVersion > version) {
    refuse("versions are integers from 0 to 2^31 - 1, and minimumVersion is at most version");
  }
  for (const key of Object.keys(fields)) checkKey(key, refuse);
  for (const [key, field] of Object.entries(fields)) {
    if (isPadding(field) !== key.startsWith("_")) refuse(`field "${key}": padding and only padding begins with "_"`);
  }
  for (const [key, sub] of Object.entries(subsections)) {
    checkKey(key, refuse);
    if (key.startsWith("_")) refuse(`subsection "${key}" may not begin with "_"`);
    if (key in fields) refuse(`"${key}" is both a field and a subsection`);
    const own = sub.description.name;
    // A reader takes a subsection for its own only by this prefix; without it the bytes are unreadable.
    if (!own.startsWith(name) || own.length <= name.length) refuse(`subsection "${own}" must begin with "${name}"`);
    for (const nested of nestedNames(fields)) {
      if (own.startsWith(nested) && utf8Length(own) > utf8Length(nested)) {
        refuse(`the nested "${nested}" would take subsection "${own}" for its own`);
      }
    }
  }
  return Object.freeze({
    format: 1,
    name,
    version,
    minimumVersion,
    fields: Object.freeze({ ...fields }),
    subsections: Object.freeze({ ...subsections }),
    priority: init.priority ?? "default",
    unmigratable: init.unmigratable,
    earlySetup: init.earlySetup ?? false,
    needed: init.needed as ((state: AnyRecord) => boolean) | undefined,
    preSave: init.preSave as ((state: AnyRecord) => AnyRecord) | undefined,
    postLoad: init.postLoad as ((state: AnyRecord, version: number) => AnyRecord) | undefined,
  } satisfies Description);
}

function isVersion(n: number): boolean {
  return Number.isInteger(n) && n >= 0 && n <= 0x7fffffff;
}

function isPadding(field: Field): boolean {
  return (field as { padding?: true }).padding === true;
}

// Engines move integer-like keys to the front of an object, which would silently reorder the wire.
function checkKey(key: string, refuse: (why: string) => never): void {
  if (/^(0|[1-9][0-9]*)$/.test(key)) refuse(`key "${key}" is integer-like and would lose its place`);
  if (key === "" || key.startsWith("$") || key.includes(".") || key === "__proto__") refuse(`key "${key}" is reserved`);
}

/** Names of nested descriptions whose body ends where this description's subsections begin or go on. */
function nestedNames(fields: Fields): Set<string> {
  const names = new Set<string>();
  const visit = (field: Field | undefined): void => {
    if (field === undefined) return;
    const spec = field as Spec;
    switch (spec.kind) {
      case "struct":
      case "tmp":
        names.add(spec.description.name);
        for (const inner of Object.values(spec.description.fields)) visit(inner);
        break;
      case "array":
      case "pointers":
      case "checked":
      case "condition":
      case "named":
        visit(spec.element);
        break;
      case "custom":
        if (spec.custom.elements) names.add(spec.custom.elements.name);
        break;
    }
  };
  for (const field of Object.values(fields)) visit(field);
  return names;
}
