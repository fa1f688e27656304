// The manifest of the machine that made a save: found and checked without any plugin.
import type { Manifest, ManifestSection } from "../contract.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import { utf8Length } from "../utf8.ts";
import { sectionKey } from "./sections.ts";
import { parseVmdesc } from "./vmdesc.ts";
import { boundVmdesc, vmdescAt } from "./vmdesc-record.ts";
import type { Vmdesc } from "./vmdesc-types.ts";

/** Makes the error for what is not as it should be. */
export type RefuseValue = (path: string, expected: string, found: unknown) => Error;

/**
 * The manifest of a save that is held whole: who made it, its sections and their versions. Undefined where the save has
 * none, since QEMU made it or it is a snapshot. `VMDESC_INVALID` where it has one that is not well formed, `LENGTH_BOUND`
 * where it is too long to be read; both with the offset in the save of the description.
 */
export function readManifest(save: Uint8Array): Manifest | undefined {
  const at = vmdescAt(save);
  if (at === undefined) return undefined;
  try {
    boundVmdesc(save.length - at - 5);
    return manifestOf(parseVmdesc(save.subarray(at + 5)));
  } catch (error) {
    throw isMigrationError(error) ? error.at({ side: "destination", section: "vmdesc", offset: at }) : error;
  }
}

/** The manifest that a stream's vmdesc carries, if it was written by Godwit. */
export function manifestOf({ godwit }: Vmdesc): Manifest | undefined {
  if (godwit === undefined) return undefined;
  return checkedManifest(godwit, "godwit", (path, expected, found) => {
    const detail = "the stream's manifest is not well formed";
    return new MigrationError("VMDESC_INVALID", detail, { path, expected, found: shown(found) });
  });
}

/**
 * The same value with its type, and nothing that the type does not have. What earlier releases did not say is empty:
 * `reads`, `kinds`, and 1 for the contract.
 */
export function checkedManifest(value: unknown, path: string, refuse: RefuseValue): Manifest {
  const of = new Reading(value, path, refuse);
  const section = (one: Reading): ManifestSection => ({
    idstr: one.idstr("idstr"),
    instance: one.u32("instance"),
    ...versions(one),
    ...(one.has("needed") && { needed: one.texts("needed") }),
    optional: one.flag("optional"),
  });
  const versions = (one: Reading) => {
    const version = one.u32("version");
    return { version, minimumVersion: one.u32("minimumVersion", version), subsections: one.texts("subsections") };
  };
  return {
    ...of.optional("producer", (one) => ({ name: one.text("name"), version: one.text("version") })),
    contract: of.has("contract") ? of.count("contract") : 1,
    machineType: of.text("machineType"),
    sections: of.set("sections", section, sectionKey),
    reads: of.has("reads")
      ? of.set("reads", (one) => ({ ...section(one), into: one.texts("into"), with: one.texts("with") }), sectionKey)
      : [],
    kinds: of.has("kinds")
      ? of.set(
          "kinds",
          (one) => ({ name: one.idstr("name"), ...versions(one) }),
          ({ name }) => name,
        )
      : [],
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
  /** Of a section, or the last part of it. */
  idstr(key: string): string {
    return this.#typed(key, "a string of 1 to 255 bytes", (value) => {
      return typeof value === "string" && value !== "" && utf8Length(value) <= 255;
    }) as string;
  }
  u32(key: string, most = 0xffff_ffff): number {
    const expected = `an integer from 0 to ${most}`;
    return this.#typed(
      key,
      expected,
      (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most,
    ) as number;
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
  /** A list in which each `keyOf` comes once. */
  set<T>(key: string, read: (one: Reading) => T, keyOf: (one: T) => string): T[] {
    const seen = new Set<string>();
    return this.list(key, (one) => {
      const value = read(one);
      const own = keyOf(value);
      if (seen.has(own)) throw this.#refuse(one.#path, "each of them once", own);
      seen.add(own);
      return value;
    });
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

/** Enough of a value to see what is wrong with it, however long it is. */
function shown(value: unknown): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value.slice(0, 99));
  return value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
}
