// The bytes of published versions: what they wrote is read for ever, and what is written now is the same, or its change
// is one that the plugin's version tells.
import process from "node:process";
import { type AnyRecord, type Description, decodeState, isMigrationError, type Plugin } from "@godwit/core";
import { comparePublished, sideOf } from "@godwit/core/compatibility";
import { type Dump, type JsonObject, type JsonValue, stateToJson } from "@godwit/core/tools";
import { equal, type Save } from "../../clocks/differences.ts";
import type { CheckFunction } from "../check.ts";
import { stateDifference } from "../difference.ts";
import { dumpDifference } from "../dump-difference.ts";
import type { Findings } from "../findings.ts";
import { pathOf } from "../folder.ts";
import { statesOf } from "../generated.ts";
import {
  bytesNow,
  bytesOf,
  dumpFor,
  type Golden,
  type GoldenFile,
  type GoldenSample,
  goldenFiles,
  sampleOf,
  writeGolden,
} from "../golden.ts";
import { devicesOf, type Lab, loadInto, messageOf, saveWith } from "../lab.ts";
import { note } from "../note.ts";
import { describedOf, type RecordedDevice } from "../recorded.ts";
import { bodyOf, fullSection, type Parts, partsOf, streamOf, withSection } from "../sections.ts";
import { compareVersions, isMinorAbove, type Version, versionOf } from "../versions.ts";

/** Of each section, beside the real one: so many generated states, and no more when they have so many bytes together. */
const mostSamples = 6;
const mostBytes = 8192;

interface Present {
  readonly plugin: Plugin<unknown>;
  readonly version: Version;
  readonly dump: Dump;
  readonly devices: readonly RecordedDevice[];
  readonly parts: Parts;
}

export const goldensCheck: CheckFunction = async (lab, findings) => {
  const source = await lab.exercised();
  const save = await saveWith(findings, source, "after `exercise`");
  const [plugin] = source.bench.plugins;
  const described = describedOf(source.bench.recorded);
  const version = plugin && versionOf(plugin.version);
  // `manifest` tells what is wrong with it.
  if (save === undefined || plugin === undefined || version === undefined) return undefined;
  if (described.length === 0) return "the plugin registers no description";
  const dump = dumpFor(
    plugin,
    described.map(({ description }) => description),
  );
  const present: Present = { plugin, version, dump, devices: devicesOf(source.bench), parts: partsOf(save) };
  await checkFiles(lab, findings, present, save);
  return undefined;
};

async function checkFiles<M>(lab: Lab<M>, findings: Findings, present: Present, save: Save): Promise<void> {
  const folder = pathOf(lab.test.goldens);
  const files = goldenFiles(folder, (file, why) => findings.add("GOLDEN_INVALID", { path: file, text: why }));
  const known = files.filter(({ version }) => compareVersions(version, present.version) <= 0);
  for (const { file } of files.filter((one) => !known.includes(one))) {
    findings.add("GOLDEN_INVALID", {
      path: file,
      text: `the plugin's version is ${present.plugin.version}, which is older`,
    });
  }
  for (const one of known) await checkReadable(lab, findings, present, one);
  const newest = known.at(-1);
  const change = newest && changeSince(newest, present);
  if (newest !== undefined && change === undefined) return;
  if (newest !== undefined && change !== undefined && !isAllowed(findings, present, known, newest, change)) return;
  if (findings.all().length > 0) return;
  if (process.env["GODWIT_GOLDENS"] === "write") {
    note(`${writeGolden(folder, await goldenOf(lab, findings, present, save))} is written: look at it, and commit it`);
  } else findings.add("GOLDEN_MISSING", { text: `${present.plugin.name} ${present.plugin.version}` });
}

interface Change {
  readonly section: string;
  readonly path?: string | undefined;
  readonly text: string;
}

/** What differs on the wire between a published version and now. */
function changeSince({ golden }: GoldenFile, { dump, devices }: Present): Change | undefined {
  const difference = dumpDifference(golden.dump, dump);
  if (difference !== undefined) return difference;
  for (const [section, { samples }] of Object.entries(golden.sections)) {
    const device = devices.find(({ key }) => key === section);
    if (device === undefined) return { section, text: "the section is gone" };
    for (const sample of samples) {
      const change = changeOf(device.description, sample);
      if (change !== undefined) return { section, ...change };
    }
  }
  const added = devices.find(({ key }) => golden.sections[key] === undefined);
  return added && { section: added.key, text: "the section is new" };
}

function changeOf(description: Description, sample: GoldenSample): Omit<Change, "section"> | undefined {
  const [then, now] = [bytesOf(sample.bytes), bytesNow(description, sample)];
  if (now instanceof Error) {
    return {
      path: isMigrationError(now) ? now.location.path : undefined,
      text: `a published state cannot be written: ${messageOf(now)}`,
    };
  }
  if (equal(then, now)) return undefined;
  const at = then.findIndex((byte, i) => byte !== now[i]);
  return {
    text: `the same state had ${then.length} bytes and has ${now.length}; byte ${at < 0 ? then.length : at} differs`,
  };
}

function isAllowed(
  findings: Findings,
  present: Present,
  known: readonly GoldenFile[],
  newest: GoldenFile,
  { section, path, text }: Change,
): boolean {
  const { plugin, version, dump, devices } = present;
  /** Dumps know descriptions; whoever reads of it looks for a section. */
  const sectionOf = (name: string | undefined): string | undefined =>
    devices.find(({ key, description }) => key === name || description.name === name)?.key ?? name;
  if (!isMinorAbove(version, newest.version)) {
    const since = `since ${newest.golden.version}, and the plugin's version is ${plugin.version}`;
    findings.add("WIRE_CHANGED", { section: sectionOf(section), path, text: `${text} (${since})` });
    return false;
  }
  const now = sideOf(dump, plugin.version);
  for (const { golden } of known) {
    for (const one of comparePublished(sideOf(golden.dump, golden.version), now)) {
      const way =
        one.direction === "forward"
          ? `${golden.version} -> ${plugin.version}`
          : `${plugin.version} -> ${golden.version}`;
      const place = {
        section: sectionOf(one.description || one.places[0]?.section),
        ...(one.subject !== "" && { path: one.subject }),
      };
      findings.add("WIRE_BROKEN", { ...place, text: `${one.code}, ${way}: ${one.says}; ${one.remedy}` });
    }
  }
  return !findings.has("WIRE_BROKEN");
}

/** What that version wrote is decoded, gives its state, and is loaded. */
async function checkReadable<M>(
  lab: Lab<M>,
  findings: Findings,
  present: Present,
  { golden }: GoldenFile,
): Promise<void> {
  for (const [section, { version, samples }] of Object.entries(golden.sections)) {
    const device = present.devices.find(({ key }) => key === section);
    for (const [n, { state, bytes }] of samples.entries()) {
      const what = `sample ${n} of ${golden.version}`;
      const body = bytesOf(bytes);
      const failed = (error: unknown): void => {
        const path = isMigrationError(error) ? error.location.path : undefined;
        findings.add("GOLDEN_UNREADABLE", { section, path, text: `${what}: ${messageOf(error)}`, cause: error });
      };
      if (device !== undefined && !compareState(findings, device, version, { state, bytes }, what, failed)) continue;
      await checkLoads(lab, present, section, device, version, body, failed);
    }
  }
}

function compareState(
  findings: Findings,
  { key, description }: RecordedDevice,
  version: number,
  { state, bytes }: GoldenSample,
  what: string,
  failed: (error: unknown) => void,
): boolean {
  let now: JsonObject;
  try {
    now = stateToJson(description, decodeState(description, bytesOf(bytes), { version }) as AnyRecord);
  } catch (error) {
    failed(error);
    return false;
  }
  const difference = stateDifference(state, asFarAs(state, now));
  if (difference === undefined) return true;
  const { path, expected, found } = difference;
  findings.add("GOLDEN_UNREADABLE", { section: key, path, text: `${what} was ${expected}, and is read as ${found}` });
  return false;
}

/** What came later stands in no older state; what is gone stands in no present one, and says nothing. */
function asFarAs(then: JsonValue, now: JsonValue): JsonValue {
  if (Array.isArray(now) && Array.isArray(then))
    return now.map((one, i) => (then[i] === undefined ? one : asFarAs(then[i], one)));
  if (!isObject(now) || !isObject(then)) return now;
  return Object.fromEntries(
    Object.entries(then).map(([key, old]) => [key, now[key] === undefined ? old : asFarAs(old, now[key])]),
  );
}

const isObject = (value: JsonValue): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A section that the plugin does not register any more comes in the place of one that reads it by `formerly`. */
async function checkLoads<M>(
  lab: Lab<M>,
  { parts, devices }: Present,
  section: string,
  device: RecordedDevice | undefined,
  version: number,
  body: Uint8Array,
  failed: (error: unknown) => void,
): Promise<void> {
  const at = section.lastIndexOf("/");
  const place = { idstr: section.slice(0, at), instance: Number(section.slice(at + 1)), sectionId: 0x7fff };
  const streams = device
    ? [withSection(parts, fullSection(device, version, body))]
    : devices
        .filter(({ init }) => (init.formerly ?? []).length > 0)
        .map(({ key }) => ({ ...parts, sections: parts.sections.filter((one) => one.key !== key) }))
        .map((without) => withSection(without, fullSection(place, version, body)));
  let failure: unknown = new Error("no device of the plugin reads this section");
  for (const one of streams) {
    const outcome = await loadInto(lab.make(), streamOf(one));
    if (outcome.is === "loaded") return;
    failure = outcome.is === "refused" ? outcome.error : outcome.cause;
  }
  failed(failure);
}

async function goldenOf<M>(lab: Lab<M>, findings: Findings, present: Present, save: Save): Promise<Golden> {
  const { plugin, dump, devices } = present;
  const sections: Record<string, Golden["sections"][string]> = {};
  for (const device of devices) {
    const samples = await samplesOf(lab, findings, device, partsOf(save));
    sections[device.key] = { version: device.description.version, samples };
  }
  return { plugin: plugin.name, version: plugin.version, contract: plugin.contract, dump, sections };
}

/** The real save's state first, then generated ones that a machine accepts. */
async function samplesOf<M>(
  lab: Lab<M>,
  findings: Findings,
  device: RecordedDevice,
  parts: Parts,
): Promise<readonly GoldenSample[]> {
  const { description, key } = device;
  const body = bodyOf(parts, key);
  const real = body === undefined ? [] : [decodeState(description, body) as AnyRecord];
  const samples = new Map<string, GoldenSample>();
  let bytes = 0;
  for (const state of [...real, ...statesOf(lab, findings, device)]) {
    const sample = sampleIfSent(description, state);
    if (sample === undefined || samples.has(sample.bytes)) continue;
    const section = fullSection(device, description.version, bytesOf(sample.bytes));
    if ((await loadInto(lab.make(), streamOf(withSection(parts, section)))).is !== "loaded") continue;
    samples.set(sample.bytes, sample);
    bytes += section.body.length;
    if (samples.size >= mostSamples + real.length || bytes > mostBytes) break;
  }
  return [...samples.values()];
}

function sampleIfSent(description: Description, state: AnyRecord): GoldenSample | undefined {
  if (description.needed !== undefined && !description.needed(state)) return undefined;
  try {
    return sampleOf(description, state);
  } catch (error) {
    if (isMigrationError(error)) return undefined;
    throw error;
  }
}
