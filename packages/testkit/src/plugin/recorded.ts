// What a machine's devices registered, with what they were called with: the checks look at the plugin from outside.
import {
  type AnyRecord,
  cloneValue,
  type Dependency,
  type Description,
  type DeviceInit,
  type DevicePart,
  type IterableInit,
  isMigrationError,
  type PluggedDevice,
  type Registration,
  sameValue,
} from "@godwit/core";

export type DeviceFunction =
  | "save"
  | "offer"
  | "check"
  | "load"
  | "quiesce"
  | "ready"
  | "resumed"
  | "plugged"
  | "unplugged";

/** A registration, of the plugin under test or of a companion. */
export interface Recorded {
  readonly form: "device" | "iterable" | "kind";
  readonly isTested: boolean;
  /** Of an iterable without a record of its own, undefined. */
  readonly description: Description | undefined;
  readonly init: Partial<DeviceInit<AnyRecord>>;
  readonly iterable: IterableInit | undefined;
  /** As `idstr/instance`; of a kind, the description's name. */
  readonly key: string;
  readonly idstr: string;
  readonly instance: number;
  readonly sectionId: number;
}

/** A device of the plugin, with a description: what most checks are about. */
export interface RecordedDevice extends Recorded {
  readonly description: Description;
}

/** What went on in a device's functions since it was last forgotten. */
export interface Calls {
  /** By section: a copy of the state that the last `load` was given. */
  readonly given: Map<string, AnyRecord>;
  /** What functions threw, MigrationErrors of `check` and `offer` not counted: they are answers. */
  readonly thrown: { readonly section: string; readonly what: DeviceFunction; readonly error: unknown }[];
  /** Sections whose `check` or `offer` wrote to its state. */
  readonly wroteTo: Set<string>;
}

export function noCalls(): Calls {
  return { given: new Map(), thrown: [], wroteTo: new Set() };
}

const looking: readonly DeviceFunction[] = ["check", "offer"];
const functions: readonly DeviceFunction[] = [
  ...(["save", "offer", "check", "load", "quiesce", "ready", "resumed"] as const),
  ...(["plugged", "unplugged"] as const),
];

const places = ["instance", "path", "alias", "formerly", "after"] as const;

type AnyInit = DeviceInit<AnyRecord> | DevicePart<AnyRecord> | PluggedDevice<AnyRecord>;
type AnyFunction = (...args: unknown[]) => unknown;

/** The same device, its calls written down; `more` is waited for as well. */
export function watched<I extends AnyInit>(
  init: I,
  sectionOf: () => string,
  calls: Calls,
  more: readonly Dependency[],
): I {
  const own = init as unknown as Record<string, unknown>;
  const copy: Record<string, unknown> = {};
  // Not spread: a device may be an instance, whose functions and getters stand at its prototype.
  for (const key of [...Object.keys(own), ...places]) if (own[key] !== undefined) copy[key] = own[key];
  for (const what of functions) {
    const call = own[what];
    if (typeof call !== "function") continue;
    copy[what] = (...args: unknown[]) =>
      watch(what, sectionOf(), calls, () => (call as AnyFunction).apply(init, args), args[0]);
  }
  if (more.length > 0) copy["after"] = [...(init.after ?? []), ...more];
  return copy as unknown as I;
}

function watch<T>(what: DeviceFunction, section: string, calls: Calls, call: () => T, state: unknown): T {
  if (what === "load") calls.given.set(section, cloneValue(state) as AnyRecord);
  const before = looking.includes(what) ? cloneValue(state) : undefined;
  const failed = (error: unknown): never => {
    const isAnswer = looking.includes(what) && isMigrationError(error);
    if (!isAnswer) calls.thrown.push({ section, what, error });
    throw error;
  };
  try {
    const result = call();
    if (what === "ready" && result instanceof Promise) return result.catch(failed) as T;
    return result;
  } catch (error) {
    return failed(error);
  } finally {
    if (before !== undefined && !sameValue(before, state)) calls.wroteTo.add(section);
  }
}

export function recordedOf(
  form: Recorded["form"],
  isTested: boolean,
  description: Description | undefined,
  init: Recorded["init"],
  iterable: IterableInit | undefined,
  registration: Registration | undefined,
): Recorded {
  const name = description?.name ?? "";
  const { idstr = name, instance = 0, sectionId = -1 } = registration ?? {};
  const key = registration === undefined ? name : `${idstr}/${instance}`;
  return { form, isTested, description, init, iterable, key, idstr, instance, sectionId };
}

/** All that the plugin describes, kinds included; a description that several devices have stands once. */
export function describedOf(recorded: readonly Recorded[]): (Recorded & { readonly description: Description })[] {
  const described = recorded.filter(
    (one): one is Recorded & { readonly description: Description } => one.isTested && one.description !== undefined,
  );
  return described.filter(({ description }, i) => described.findIndex((one) => one.description === description) === i);
}
