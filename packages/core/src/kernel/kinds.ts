// Hot-plug: kinds of devices that this machine can make when a stream or a manifest names one.
import type { PluggedDevice } from "../contract.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import { deviceEntry, type Entry, type Registry } from "../registry/registry.ts";
import type { AnyRecord, Description } from "../vmstate/types.ts";

export interface Kind {
  readonly description: Description;
  readonly create: (idstr: string, instance: number) => PluggedDevice<AnyRecord>;
}

export class Kinds {
  readonly #byName = new Map<string, Kind>();

  add(description: Description, create: Kind["create"]): void {
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
    try {
      const device = create(idstr, instance);
      return registry.add({ ...deviceEntry(description, device), path, instance });
    } catch (error) {
      if (isMigrationError(error)) throw error;
      throw new MigrationError("DEVICE_FAILED", `the device could not be made: ${String(error)}`, { cause: error });
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
