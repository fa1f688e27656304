// vmstate() and subsection(): from a literal to a frozen, checked description.
import { MigrationError } from "../errors.ts";
import { utf8Length } from "../utf8.ts";
import { checkFields, checkSubsectionNames } from "./definition.ts";
import type { AnyRecord, Description, Fields, Priority, Scope, StateFrom, Subsection } from "./types.ts";
import { cloneValue } from "./values.ts";

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
  /** Goes with `needed`: the state that a destination takes where the section did not come. */
  readonly absent?: NoInfer<StateFrom<F, S>>;
}

export interface SubsectionInit<F extends Fields, S extends Subsections> extends Common<F, S> {
  /** Whether the subsection's state must travel; without it, always. */
  readonly needed?: (own: StateFrom<F, S>, scope: Scope) => boolean;
  /** What a destination assumes where the subsection did not come. */
  readonly absent: NoInfer<StateFrom<F, S> | ((scope: Scope) => StateFrom<F, S>)>;
}

/**
 * Describes the state of a device: which fields, in which order, from which version on. The result is plain frozen
 * data with an inferred state type (`StateOf<typeof d>`). A malformed description throws `DEFINITION_INVALID`.
 */
export function vmstate<const F extends Fields, const S extends Subsections = Record<never, never>>(
  init: VmstateInit<F, S>,
): Description<StateFrom<F, S>> {
  check(init as unknown as Init, false);
  return ownVmstate(init);
}

/** Describes a part that travels only when it is needed; older receivers load the stream while it is not. */
export function subsection<const F extends Fields, const S extends Subsections = Record<never, never>>(
  init: SubsectionInit<F, S>,
): Subsection<StateFrom<F, S>> {
  check(init as unknown as Init, true);
  return ownSubsection(init);
}

/** A description of core's own, which tests know to be well formed: a kernel alone needs no checks. */
export function ownVmstate<const F extends Fields, const S extends Subsections = Record<never, never>>(
  init: VmstateInit<F, S>,
): Description<StateFrom<F, S>> {
  const { version, minimumVersion = version, priority = "default", fields, subsections, absent } = init;
  return Object.freeze({
    earlySetup: false,
    ...init,
    format: 1,
    minimumVersion,
    priority,
    fields: Object.freeze({ ...fields }),
    subsections: Object.freeze({ ...subsections }),
    absent: cloneValue(absent),
  }) as unknown as Description<StateFrom<F, S>>;
}

export function ownSubsection<const F extends Fields, const S extends Subsections = Record<never, never>>({
  needed = () => true,
  absent,
  ...rest
}: SubsectionInit<F, S>): Subsection<StateFrom<F, S>> {
  return Object.freeze({
    description: ownVmstate(rest as VmstateInit<F, S>),
    needed: needed as (own: AnyRecord, scope: Scope) => boolean,
    absent: cloneValue(absent) as StateFrom<F, S> | ((scope: Scope) => StateFrom<F, S>),
  });
}

type Init = VmstateInit<Fields, Subsections>;
type Refuse = (why: string) => never;

function check(init: Init, isPart: boolean): void {
  const { name, version, minimumVersion = version, fields, subsections = {} } = init;
  const refuse: Refuse = (why) => {
    throw new MigrationError("DEFINITION_INVALID", `description "${name}": ${why}`, { side: "define" });
  };
  const nameBytes = utf8Length(name);
  if (nameBytes === 0 || nameBytes > 255) refuse("a name has 1 to 255 bytes");
  if (!isVersion(version) || !isVersion(minimumVersion) || minimumVersion > version) {
    refuse("versions are 0 to 2^31 - 1, minimumVersion <= version");
  }
  for (const key of [...Object.keys(fields), ...Object.keys(subsections)]) checkKey(key, refuse);
  checkFields(fields, refuse);
  for (const key of Object.keys(subsections)) {
    if (key.startsWith("_")) refuse(`subsection "${key}" may not begin with "_"`);
    if (Object.hasOwn(fields, key)) refuse(`"${key}" is both a field and a subsection`);
  }
  if (!isPart && (init.needed === undefined) !== (init.absent === undefined)) {
    refuse("`needed` and `absent` go together");
  }
  checkSubsectionNames(name, fields, Object.values(subsections), refuse);
}

function isVersion(n: number): boolean {
  return Number.isInteger(n) && n >= 0 && n <= 0x7fffffff;
}

// Engines move integer-like keys to the front of an object, which would silently reorder the wire.
function checkKey(key: string, refuse: Refuse): void {
  if (/^(0|[1-9]\d*)$/.test(key)) refuse(`key "${key}" is integer-like and loses its place`);
  if (/^$|^\$|\.|^__proto__$/.test(key)) refuse(`key "${key}" is reserved`);
}
