// Golden files: what a published version of a plugin wrote, kept for ever. One file a version that changed the wire.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Description, encodeState, isMigrationError, type Plugin } from "@godwit/core";
import { type Dump, dumpOf, type JsonObject, stateFromJson, stateToJson } from "@godwit/core/tools";
import { folded, foldedHex, unfolded, unfoldedHex } from "./folded.ts";
import { filesIn } from "./folder.ts";
import { printed } from "./json.ts";
import { compareVersions, type Version, versionOf } from "./versions.ts";

export interface GoldenSample {
  /** As `stateToJson` of `@godwit/core/tools` writes it. */
  readonly state: JsonObject;
  /** The section's body, in hexadecimal. */
  readonly bytes: string;
}

export interface GoldenSection {
  /** The description's version. */
  readonly version: number;
  readonly samples: readonly GoldenSample[];
}

export interface Golden {
  readonly plugin: string;
  readonly version: string;
  readonly contract: number;
  /** Of all descriptions that the plugin registers. */
  readonly dump: Dump;
  /** By `idstr/instance`. */
  readonly sections: Readonly<Record<string, GoldenSection>>;
}

/** A golden file that was read. */
export interface GoldenFile {
  readonly file: string;
  readonly version: Version;
  readonly golden: Golden;
}

/** In the order of versions; what cannot be read is told. */
export function goldenFiles(folder: string, invalid: (file: string, why: string) => void): readonly GoldenFile[] {
  const files = filesIn(folder).filter((file) => file.endsWith(".json"));
  const read = files.flatMap((file) => {
    try {
      return [readGolden(join(folder, file), file)];
    } catch (error) {
      invalid(file, error instanceof Error ? error.message : String(error));
      return [];
    }
  });
  return read.sort((a, b) => compareVersions(a.version, b.version));
}

function readGolden(path: string, file: string): GoldenFile {
  const golden = JSON.parse(readFileSync(path, "utf8")) as Partial<Golden> | null;
  const version = versionOf(file.slice(0, -".json".length));
  if (version === undefined) throw new Error("its name is no version: it is VERSION.json");
  if (typeof golden?.dump !== "object" || typeof golden.sections !== "object")
    throw new Error("it has no dump, or no sections");
  if (`${golden.version}.json` !== file) throw new Error(`it says that it is of version ${golden.version}`);
  for (const [key, { version: own, samples }] of Object.entries(golden.sections)) {
    if (!Number.isInteger(own) || !Array.isArray(samples))
      throw new Error(`section ${key} has no version, or no samples`);
  }
  const plain = withSamples(golden as Golden, ({ state, bytes }) => ({
    state: unfolded(state) as JsonObject,
    bytes: unfoldedHex(bytes),
  }));
  for (const { samples } of Object.values(plain.sections)) for (const { bytes } of samples) bytesOf(bytes);
  return { file, version, golden: plain };
}

/** In a file, what repeats itself is folded; everywhere else it is not. */
function withSamples(golden: Golden, each: (sample: GoldenSample) => GoldenSample): Golden {
  const sections = Object.entries(golden.sections).map(([key, section]) => [
    key,
    { ...section, samples: section.samples.map(each) },
  ]);
  return { ...golden, sections: Object.fromEntries(sections) };
}

/** Never over a file that is there. */
export function writeGolden(folder: string, golden: Golden): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${golden.version}.json`);
  if (existsSync(path)) throw new Error(`${path} is there already: golden files are written once`);
  const text = printed(
    withSamples(golden, ({ state, bytes }) => ({ state: folded(state) as JsonObject, bytes: foldedHex(bytes) })),
  );
  writeFileSync(path, `${text}\n`, { flag: "wx" });
  return path;
}

/** The plugin's name alone is the machine's: a dump of the same descriptions is the same in every version. */
export function dumpFor(plugin: Pick<Plugin<unknown>, "name">, descriptions: readonly Description[]): Dump {
  // As it comes back from a file: without what is undefined.
  return JSON.parse(JSON.stringify(dumpOf(descriptions, plugin.name))) as Dump;
}

export function sampleOf(description: Description, state: Parameters<typeof stateToJson>[1]): GoldenSample {
  return { state: stateToJson(description, state), bytes: hexOf(encodeState(description, state)) };
}

/** The bytes that a sample's state has now; an error where it is no state any more. */
export function bytesNow(description: Description, { state }: GoldenSample): Uint8Array | Error {
  try {
    return encodeState(description, stateFromJson(description, state));
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function bytesOf(hex: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new Error("bytes are pairs of hexadecimal digits");
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}
