// Who is saved: idstr, instance, alias and compat ids, section ids, and the save order.
import type { Dependency, DeviceInit, IterableInit } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import { sectionKey } from "../stream/sections.ts";
import { utf8Length } from "../utf8.ts";
import type { AnyRecord, Description, Priority } from "../vmstate/types.ts";
import { isInstance, type OldSection, type Succession, successionOf } from "./former.ts";
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
  /** Which plugin registered it, where one did, with its version. */
  readonly plugin?: string | undefined;
}

export type NewEntry = Pick<
  Entry,
  "name" | "version" | "priority" | "after" | "description" | "device" | "iterable" | "plugin"
> & {
  readonly path: string | undefined;
  readonly instance: number | "auto" | undefined;
  readonly alias: number | undefined;
  /** A stream named it in full: it answers to no shorter name. */
  readonly isNamed?: boolean;
};

export function deviceEntry(description: Description, init: DeviceInit<AnyRecord>): NewEntry {
  return {
    name: description.name,
    path: init.path,
    instance: init.instance,
    alias: init.alias,
    version: description.version,
    priority: description.priority,
    after: init.after ?? [],
    description,
    device: init,
    iterable: undefined,
  };
}

export class Registry {
  readonly #buckets = new Map<Priority, Set<Entry>>(saveOrder.map((priority) => [priority, new Set()]));
  readonly #byKey = new Map<string, Entry>();
  /** Alias and compat names; several entries may answer to one, the first registered wins as in QEMU. */
  readonly #byOtherKey = new Map<string, Entry[]>();
  readonly #byIdstr = new Map<string, Set<Entry>>();
  /** Sections of earlier releases, by key. */
  readonly #former = new Map<string, OldSection>();
  readonly #successions = new Set<Succession>();
  readonly #plain = new Instances();
  readonly #compats = new Instances();
  /** Counts changes, so that a schedule can be kept until the next. */
  revision = 0;
  #ordered: readonly Entry[] = [];
  #orderedRevision = 0;
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
    if (this.#former.has(key)) {
      throw new MigrationError("SECTION_DUPLICATE", `"${key}" is read for an earlier release's device`, {
        side: "define",
        section: key,
      });
    }
    const { name, version, priority, after, description, device, iterable, alias, plugin } = init;
    const taken = this.#byKey.get(key);
    if (taken !== undefined) {
      const implicit = init.instance === undefined && init.path === undefined;
      throw new MigrationError(
        implicit ? "INSTANCE_AMBIGUOUS" : "SECTION_DUPLICATE",
        (implicit ? `a second "${idstr}" needs an instance, or a path` : `"${key}" is registered already`) +
          (taken.plugin ? `: first by ${taken.plugin}, now by ${plugin ?? "no plugin"}` : ""),
        { side: "define", section: key },
      );
    }
    const compat = this.#compat(init);
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
      plugin,
      sectionId: this.#nextSectionId,
    };
    this.#enterWithFormer(entry);
    return entry;
  }

  /** All of it, or none. */
  #enterWithFormer(entry: Entry): void {
    const successions = (entry.device?.formerly ?? []).map((given) => successionOf(entry, given));
    this.#refuseTaken(
      successions.flatMap(({ from }) => from),
      entry,
    );
    this.#enter(entry);
    for (const one of successions) this.#follow(one);
  }

  #enter(entry: Entry): void {
    const { idstr, instance, compat, priority } = entry;
    const key = sectionKey(entry);
    this.#nextSectionId = Math.max(this.#nextSectionId, entry.sectionId + 1);
    this.revision++;
    this.#plain.add(idstr, instance);
    if (compat !== undefined) this.#compats.add(compat.idstr, compat.instance);
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
  }

  /** Takes in what a fork of this registry has made. The function takes it out again, and leaves nothing behind. */
  adopt(entry: Entry): () => void {
    const nextSectionId = this.#nextSectionId;
    this.#enterWithFormer(entry);
    return () => {
      this.remove(entry);
      if (this.#nextSectionId === entry.sectionId + 1) this.#nextSectionId = nextSectionId;
    };
  }

  /** A registry of the same entries, to be added to without touching this one. */
  fork(): Registry {
    const copy = new Registry();
    // In the order of registration, which the buckets do not keep among each other.
    for (const entry of this.#byKey.values()) copy.#enter(entry);
    for (const one of this.#successions) copy.#follow(one);
    copy.#nextSectionId = this.#nextSectionId;
    return copy;
  }

  /** Sections of earlier releases are read from now on. */
  succeed(succession: Succession): void {
    this.#refuseTaken(succession.from);
    this.#follow(succession);
  }

  #follow(succession: Succession): void {
    for (const old of succession.from) this.#former.set(sectionKey(old), old);
    this.#successions.add(succession);
  }

  get successions(): Iterable<Succession> {
    return this.#successions;
  }

  /** The section of an earlier release that a stream's section is, where nothing present has its name. */
  former(idstr: string, instance: number): OldSection | undefined {
    return this.#former.get(sectionKey({ idstr, instance }));
  }

  /** An old name that a present device has (or two old ones that are the same) would make a section mean two things. */
  #refuseTaken(from: readonly OldSection[], besides?: Entry): void {
    const seen = new Set<string>(besides && [sectionKey(besides)]);
    for (const old of from) {
      const key = sectionKey(old);
      const taken = this.#former.has(key) || this.#byKey.has(key) || seen.has(key);
      seen.add(key);
      if (!taken) continue;
      throw new MigrationError("SECTION_DUPLICATE", `"${key}" of an earlier release is taken already`, {
        side: "define",
        section: key,
      });
    }
  }

  /** Safe to call twice: a successor of the same name stays. */
  remove(entry: Entry): void {
    if (this.#byKey.get(sectionKey(entry)) !== entry) return;
    this.revision++;
    this.#byKey.delete(sectionKey(entry));
    this.#plain.remove(entry.idstr, entry.instance);
    if (entry.compat !== undefined) this.#compats.remove(entry.compat.idstr, entry.compat.instance);
    this.#buckets.get(entry.priority)?.delete(entry);
    this.#byIdstr.get(entry.idstr)?.delete(entry);
    for (const one of [...this.#successions].filter(({ into }) => into.includes(entry))) {
      this.#successions.delete(one);
      for (const old of one.from) this.#former.delete(sectionKey(old));
    }
    for (const other of otherKeys(entry)) {
      const list = this.#byOtherKey.get(other)?.filter((e) => e !== entry) ?? [];
      if (list.length > 0) this.#byOtherKey.set(other, list);
      else this.#byOtherKey.delete(other);
    }
  }

  /** The entry that a stream's section is for: by its own name, else by an alias, else by a name without path. */
  find(idstr: string, instance: number): Entry | undefined {
    const key = sectionKey({ idstr, instance });
    return this.#byKey.get(key) ?? (this.#former.has(key) ? undefined : this.#byOtherKey.get(key)?.[0]);
  }

  /** Aliases, and names without path, that a section may come under: what `find` knows beside the names themselves. */
  *otherNames(): Iterable<{ readonly idstr: string; readonly instance: number; readonly entry: Entry }> {
    for (const [key, [entry]] of this.#byOtherKey) {
      if (entry === undefined || this.#byKey.has(key) || this.#former.has(key)) continue;
      const slash = key.lastIndexOf("/");
      yield { idstr: key.slice(0, slash), instance: Number(key.slice(slash + 1)), entry };
    }
  }

  /** The very entry of this name. */
  named(at: { readonly idstr: string; readonly instance: number }): Entry | undefined {
    return this.#byKey.get(sectionKey(at));
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
  inSaveOrder(): readonly Entry[] {
    if (this.#orderedRevision !== this.revision) {
      this.#ordered = [...this.#buckets.values()].flatMap((bucket) => [...bucket]);
      this.#orderedRevision = this.revision;
    }
    return this.#ordered;
  }

  #instance(idstr: string, { instance = 0, alias = 0, path }: NewEntry): number {
    for (const id of [instance, alias]) {
      if (id === "auto" || isInstance(id)) continue;
      throw new MigrationError("DEFINITION_INVALID", "an instance id is an integer from 0 to 2^32 - 1", {
        side: "define",
        section: idstr,
        found: String(id),
      });
    }
    // A path is unique by itself; the instance that was asked for is what streams without paths carry.
    if (path !== undefined) return 0;
    return instance === "auto" ? this.#plain.next(idstr) : instance;
  }

  #compat({ name, path, instance, isNamed = false }: NewEntry): Entry["compat"] {
    if (path === undefined || isNamed) return undefined;
    const free = Math.max(this.#compats.next(name), this.#plain.next(name));
    return { idstr: name, instance: typeof instance === "number" && isInstance(instance) ? instance : free };
  }
}

/** A dependency as errors name it. */
export function nameOf(of: Dependency): string {
  return typeof of === "string" ? of : sectionKey(of);
}

/** The highest instance in use by name, so that the next one costs no search. */
class Instances {
  readonly #used = new Map<string, { highest: number; readonly all: Set<number> }>();

  next(name: string): number {
    return (this.#used.get(name)?.highest ?? -1) + 1;
  }

  add(name: string, instance: number): void {
    const used = this.#used.get(name) ?? { highest: -1, all: new Set<number>() };
    used.all.add(instance);
    used.highest = Math.max(used.highest, instance);
    this.#used.set(name, used);
  }

  remove(name: string, instance: number): void {
    const used = this.#used.get(name);
    if (used === undefined) return;
    used.all.delete(instance);
    if (instance === used.highest) used.highest = [...used.all].reduce((high, one) => Math.max(high, one), -1);
  }
}

function otherKeys({ idstr, instance, alias, compat }: Entry): string[] {
  const keys: string[] = [];
  if (alias !== undefined) {
    keys.push(sectionKey({ idstr, instance: alias }));
    if (compat !== undefined) keys.push(sectionKey({ idstr: compat.idstr, instance: alias }));
  }
  if (compat !== undefined && sectionKey(compat) !== sectionKey({ idstr, instance })) keys.push(sectionKey(compat));
  return keys;
}
