// The manifest of the machine that made a save: found and checked without any plugin.
import type { Manifest, ManifestSection } from "../contract.ts";
import { MigrationError } from "../errors.ts";
import { findVmdesc } from "./vmdesc.ts";
import type { Vmdesc } from "./vmdesc-types.ts";

/** Makes the error for what is not as it should be. */
export type RefuseValue = (path: string, expected: string, found: unknown) => Error;

/**
 * The manifest of a save that is held whole: who made it, its sections and their versions. Undefined where the save has
 * none, since QEMU made it or it is a snapshot. `VMDESC_INVALID` where it has one that is not well formed.
 */
export function readManifest(save: Uint8Array): Manifest | undefined {
  const found = findVmdesc(save);
  return found === undefined ? undefined : manifestOf(found.vmdesc);
}

/** The manifest that a stream's vmdesc carries, if it was written by Godwit. */
export function manifestOf({ godwit }: Vmdesc): Manifest | undefined {
  if (godwit === undefined) return undefined;
  return checkedManifest(godwit, "godwit", (path, expected, found) => {
    const detail = "the stream's manifest is not well formed";
    return new MigrationError("VMDESC_INVALID", detail, { path, expected, found: kindOf(found) });
  });
}

/**
 * The same value with its type, and nothing that the type does not have. What earlier releases did not say is empty:
 * `reads`, `kinds`, and 1 for the contract.
 */
export function checkedManifest(value: unknown, path: string, refuse: RefuseValue): Manifest {
  const of = new Reading(value, path, refuse);
  const section = (one: Reading): ManifestSection => ({
    idstr: one.text("idstr"),
    instance: one.count("instance"),
    ...versions(one),
    optional: one.flag("optional"),
  });
  const versions = (one: Reading) => ({
    version: one.count("version"),
    minimumVersion: one.count("minimumVersion"),
    subsections: one.texts("subsections"),
  });
  return {
    ...of.optional("producer", (one) => ({ name: one.text("name"), version: one.text("version") })),
    contract: of.has("contract") ? of.count("contract") : 1,
    machineType: of.text("machineType"),
    sections: of.list("sections", section),
    reads: of.has("reads")
      ? of.list("reads", (one) => ({ ...section(one), into: one.texts("into"), with: one.texts("with") }))
      : [],
    kinds: of.has("kinds") ? of.list("kinds", (one) => ({ name: one.text("name"), ...versions(one) })) : [],
    ramBlocks: of.list("ramBlocks", (one) => ({ idstr: one.text("idstr"), bytes: one.count("bytes") })),
    plugins: of.list("plugins", (one) => ({
      name: one.text("name"),
      version: one.text("version"),
      contract: one.count("contract"),
    })),
  };
}

/** One object of the manifest, whose members are read by type. */
class Reading {
  readonly #members: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #refuse: RefuseValue;

  constructor(value: unknown, path: string, refuse: RefuseValue) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw refuse(path, "an object", value);
    this.#members = value as Record<string, unknown>;
    this.#path = path;
    this.#refuse = refuse;
  }

  has(key: string): boolean {
    return this.#members[key] !== undefined;
  }
  text(key: string): string {
    return this.#typed(key, "a string", (value) => typeof value === "string") as string;
  }
  count(key: string): number {
    return this.#typed(key, "a count", (value) => Number.isSafeInteger(value) && (value as number) >= 0) as number;
  }
  flag(key: string): boolean {
    return this.#typed(key, "true or false", (value) => typeof value === "boolean") as boolean;
  }
  texts(key: string): string[] {
    return this.#array(key).map((value, i) => {
      if (typeof value === "string") return value;
      throw this.#refuse(`${this.#path}.${key}[${i}]`, "a string", value);
    });
  }
  list<T>(key: string, read: (one: Reading) => T): T[] {
    return this.#array(key).map((value, i) => read(new Reading(value, `${this.#path}.${key}[${i}]`, this.#refuse)));
  }
  optional<K extends string, T>(key: K, read: (one: Reading) => T): { readonly [P in K]?: T } {
    if (!this.has(key)) return {};
    return { [key]: read(new Reading(this.#members[key], `${this.#path}.${key}`, this.#refuse)) } as { [P in K]: T };
  }
  #array(key: string): unknown[] {
    return this.#typed(key, "a list", Array.isArray) as unknown[];
  }
  #typed(key: string, expected: string, fits: (value: unknown) => boolean): unknown {
    const value = this.#members[key];
    if (fits(value)) return value;
    throw this.#refuse(`${this.#path}.${key}`, expected, value);
  }
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
}
