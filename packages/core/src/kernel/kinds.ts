// Hot-plug: kinds of devices that this machine can make when a stream or a manifest names one.
import type { Manifest, PluggedDevice, Registration } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import { deviceEntry, type Entry, type Registry } from "../registry/registry.ts";
import { sectionKey } from "../stream/sections.ts";
import type { AnyRecord, Description } from "../vmstate/types.ts";
import { atOnce } from "./synchronous.ts";
import { attempt, failureOf } from "./thrown.ts";

export interface Kind {
  readonly description: Description;
  readonly create: (idstr: string, instance: number) => PluggedDevice<AnyRecord>;
}

export class Kinds {
  readonly #byName = new Map<string, Kind>();

  add(description: Description, create: Kind["create"]): void {
    if (description.needed !== undefined) {
      const detail = "a device that may not be sent would be lost: a kind's description has no `needed`";
      throw new MigrationError("DEFINITION_INVALID", detail, { side: "define", section: description.name });
    }
    if (this.#byName.has(description.name)) {
      throw new MigrationError("SECTION_DUPLICATE", `a kind "${description.name}" is there already`, {
        side: "define",
        section: description.name,
      });
    }
    this.#byName.set(description.name, { description, create });
  }

  descriptions(): Description[] {
    return [...this.#byName.values()].map(({ description }) => description);
  }

  /** The device at that place, entered into `registry` (a fork: the machine's own takes it in later). */
  make(at: { readonly idstr: string; readonly instance: number }, registry: Registry): Entry | undefined {
    const { idstr, instance } = at;
    const kind = this.#kindOf(idstr);
    if (kind === undefined) return undefined;
    const { description, create } = kind;
    const path = idstr === description.name ? undefined : idstr.slice(0, -description.name.length - 1);
    // A device with a path has no other instance than 0.
    if (path !== undefined && instance !== 0) return undefined;
    try {
      const device = atOnce(create(idstr, instance), "DEVICE_ASYNC", "create");
      if (typeof device?.save !== "function" || typeof device.load !== "function") {
        throw new TypeError("what `create` gave is no device: it has no save or no load");
      }
      return registry.add({ ...deviceEntry(description, device), path, instance, isNamed: true });
    } catch (error) {
      throw failureOf(error, "the device could not be made", {});
    }
  }

  /** The longest name wins where one is the tail of another. */
  #kindOf(idstr: string): Kind | undefined {
    for (let at = 0; at >= 0; at = idstr.indexOf("/", at) + 1 || -1) {
      const kind = this.#byName.get(idstr.slice(at));
      if (kind !== undefined) return kind;
    }
    return undefined;
  }
}

/** Makes what a manifest names and the machine lacks: all of it, or nothing. */
export function plugAll(
  { sections }: Manifest,
  registry: Registry,
  kinds: Kinds,
  adopt: (entry: Entry, undo: (() => void)[]) => Registration,
): Registration[] {
  const undo: (() => void)[] = [];
  let section: string | undefined;
  try {
    const made: Registration[] = [];
    const fork = registry.fork();
    for (const at of sections) {
      section = sectionKey(at);
      const known = registry.find(at.idstr, at.instance) ?? registry.former(at.idstr, at.instance);
      const entry = known === undefined ? kinds.make(at, fork) : undefined;
      if (entry !== undefined) made.push(adopt(entry, undo));
    }
    return made;
  } catch (error) {
    throw unplugged(undo, error, section);
  }
}

/** Takes out again what is in already, and makes the error that says how that went. */
function unplugged(undo: readonly (() => void)[], cause: unknown, section: string | undefined): MigrationError {
  const at = { side: "destination" as const, section };
  const failures: unknown[] = [];
  for (const one of undo.toReversed()) attempt(failures, one);
  if (failures.length > 0) {
    const detail = "a device could not be plugged in, and taking the others out failed, too";
    return new MigrationError("MACHINE_TORN", detail, { ...at, cause: new AggregateError([cause, ...failures]) });
  }
  return failureOf(cause, "a device threw when it was plugged in", at);
}
