// Who is saved: idstr, instance, alias and compat ids, section ids, and the save order.
import type { Dependency, DeviceInit, IterableInit } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import { sectionKey } from "../stream/sections.ts";
import { utf8Length } from "../utf8.ts";
import type { AnyRecord, Description, Priority } from "../vmstate/types.ts";
import { saveOrder } from "./priority.ts";

export interface Entry {
  readonly idstr: string;
  readonly instance: number;
  /** The name of the description; streams of old machines carry it without a path. */
  readonly name: string;
  readonly alias: number | undefined;
  readonly compat: { readonly idstr: string; readonly instance: number } | undefined;
  readonly sectionId: number;
  readonly version: number;
  readonly priority: Priority;
  readonly after: readonly Dependency[];
  readonly description: Description | undefined;
  readonly device: DeviceInit<AnyRecord> | undefined;
  readonly iterable: IterableInit | undefined;
}

export type NewEntry = Pick<
  Entry,
  "name" | "version" | "priority" | "after" | "description" | "device" | "iterable"
> & {
  readonly path: string | undefined;
  readonly instance: number | "auto" | undefined;
  readonly alias: number | undefined;
};

export class Registry {
  readonly #buckets = new Map<Priority, Set<Entry>>(saveOrder.map((priority) => [priority, new Set()]));
  readonly #byKey = new Map<string, Entry>();
  /** Alias and compat names; several entries may answer to one, the first registered wins as in QEMU. */
  readonly #byOtherKey = new Map<string, Entry[]>();
  readonly #byIdstr = new Map<string, Set<Entry>>();
  readonly #nextCompat = new Map<string, number>();
  #nextSectionId = 0;

  get size(): number {
    return this.#byKey.size;
  }

  add(init: NewEntry): Entry {
    const idstr = init.path === undefined ? init.name : `${init.path}/${init.name}`;
    if (utf8Length(idstr) > 255) {
      throw new MigrationError("DEFINITION_INVALID", `idstr "${idstr}" is longer than 255 bytes`, { side: "define" });
    }
    const instance = this.#instance(idstr, init);
    const key = sectionKey({ idstr, instance });
    if (this.#byKey.has(key)) {
      const implicit = init.instance === undefined && init.path === undefined;
      throw new MigrationError(
        implicit ? "INSTANCE_AMBIGUOUS" : "SECTION_DUPLICATE",
        implicit ? `a second "${idstr}" needs an instance, or a path` : `"${key}" is registered already`,
        { side: "define", section: key },
      );
    }
    const { name, version, priority, after, description, device, iterable, alias } = init;
    const compat = init.path === undefined ? undefined : { idstr: name, instance: this.#compat(name) };
    const entry: Entry = {
      idstr,
      instance,
      name,
      alias,
      compat,
      version,
      priority,
      after,
      description,
      device,
      iterable,
      sectionId: this.#nextSectionId++,
    };
    this.#byKey.set(key, entry);
    (this.#buckets.get(priority) as Set<Entry>).add(entry);
    const same = this.#byIdstr.get(idstr);
    if (same === undefined) this.#byIdstr.set(idstr, new Set([entry]));
    else same.add(entry);
    for (const other of otherKeys(entry)) {
      const list = this.#byOtherKey.get(other);
      if (list === undefined) this.#byOtherKey.set(other, [entry]);
      else list.push(entry);
    }
    return entry;
  }

  remove(entry: Entry): void {
    this.#byKey.delete(sectionKey(entry));
    this.#buckets.get(entry.priority)?.delete(entry);
    this.#byIdstr.get(entry.idstr)?.delete(entry);
    for (const other of otherKeys(entry)) {
      const list = this.#byOtherKey.get(other)?.filter((e) => e !== entry) ?? [];
      if (list.length > 0) this.#byOtherKey.set(other, list);
      else this.#byOtherKey.delete(other);
    }
  }

  /** The entry that a stream's section is for: by its own name, else by an alias, else by a name without path. */
  find(idstr: string, instance: number): Entry | undefined {
    const key = sectionKey({ idstr, instance });
    return this.#byKey.get(key) ?? this.#byOtherKey.get(key)?.[0];
  }

  /** All that a dependency names: one instance, or every instance of an idstr. */
  resolve(of: Dependency): readonly Entry[] {
    if (typeof of !== "string") {
      const one = this.#byKey.get(sectionKey(of));
      return one === undefined ? [] : [one];
    }
    return [...(this.#byIdstr.get(of) ?? [])];
  }

  /** By priority, then in the order of registration: the order of the wire, in every phase. */
  *inSaveOrder(): Iterable<Entry> {
    for (const bucket of this.#buckets.values()) yield* bucket;
  }

  #instance(idstr: string, { instance }: NewEntry): number {
    if (instance !== "auto") return instance ?? 0;
    let highest = -1;
    for (const entry of this.#byIdstr.get(idstr) ?? []) highest = Math.max(highest, entry.instance);
    return highest + 1;
  }

  #compat(name: string): number {
    const next = this.#nextCompat.get(name) ?? 0;
    this.#nextCompat.set(name, next + 1);
    return next;
  }
}

function otherKeys({ idstr, instance, alias, compat }: Entry): string[] {
  const keys: string[] = [];
  if (alias !== undefined) keys.push(sectionKey({ idstr, instance: alias }));
  if (compat !== undefined && sectionKey(compat) !== sectionKey({ idstr, instance })) keys.push(sectionKey(compat));
  return keys;
}
