// What a schema is asked of: the descriptions of a module, or the sections of a stream.
import { existsSync, statSync } from "node:fs";
import { extname, resolve } from "node:path";
import { type Description, isMigrationError } from "@godwit/core";
import type { VmdescDevice } from "@godwit/core/stream";
import { layoutByVmdesc } from "@godwit/core/tools";
import { CliFault } from "../faults.ts";
import type { Terminal } from "../io/terminal.ts";
import { bringFamilies } from "../model/brought.ts";
import { sectionMatcher } from "../model/glob.ts";
import { readOptions, visitStream } from "../model/open-stream.ts";
import type { VerbOptions } from "../verb.ts";

/** One description, and what it was found by. */
export interface DescribedSubject {
  /** The section as `idstr/instance`; of a module, the description's name. */
  readonly key: string;
  readonly description: Description;
}

/** A section that only its vmdesc tells of. */
export interface ListedSubject {
  readonly key: string;
  readonly device: VmdescDevice;
  readonly leaves: readonly ListedLeaf[];
}

export interface ListedLeaf {
  readonly path: string;
  readonly type: string;
  readonly offset: number;
  readonly bytes: number;
  readonly count?: number;
}

export interface Subject {
  /** The machine type, where a stream tells it. */
  readonly machine: string | undefined;
  readonly described: readonly DescribedSubject[];
  readonly listed: readonly ListedSubject[];
  /** What there is, and is not told of: why. */
  readonly leftOut: readonly LeftOut[];
}

export interface LeftOut {
  readonly key: string;
  readonly why: string;
}

const moduleExtensions = new Set([".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"]);

/** A file that is no module is a stream, and so is "-"; anything else names a module. */
export function isStream(name: string, folder: string): boolean {
  if (name === "-") return true;
  const path = resolve(folder, name);
  return existsSync(path) && !statSync(path).isDirectory() && !moduleExtensions.has(extname(name));
}

/**
 * The descriptions of a module. A family's parameters are found in the sections of `like`, a stream; without one, only what
 * needs no parameters has a description, and the rest is left out.
 */
export async function subjectOfModule(name: string, options: VerbOptions, terminal: Terminal): Promise<Subject> {
  const families = await familiesOf(name, terminal.folder);
  const like = options["like"] as string | undefined;
  if (like !== undefined) {
    const names = new Set(families.map(({ family }) => family.name));
    const found = await subjectOfStream(like, { ...options, plugin: [pathOr(name, terminal.folder)] }, terminal, names);
    const met = new Set(found.described.map(({ description }) => description.name));
    const wanted = wantedBy(options);
    const told = (name: string) =>
      met.has(name) || found.leftOut.some(({ key }) => isOf(key.replace(/\/\d+$/, ""), name));
    const unmet = [...names].filter((one) => !told(one) && wanted({ idstr: one, instance: 0 }));
    const leftOut = [...found.leftOut, ...unmet.map((key) => ({ key, why: `${like} has no such section` }))];
    return { ...found, listed: [], leftOut };
  }
  const wanted = wantedBy(options);
  const described: DescribedSubject[] = [];
  const leftOut: LeftOut[] = [];
  for (const { family } of families.filter((one) => wanted({ idstr: one.family.name, instance: 0 }))) {
    const description = withoutParameters(family);
    if (description !== undefined) described.push({ key: description.name, description });
    else leftOut.push({ key: family.name, why: "its parameters stand in a stream, which --like names" });
  }
  return { machine: undefined, described, listed: [], leftOut };
}

/** Whether a section is of a family of that name: what may stand before it is a device's path. */
const isOf = (idstr: string, name: string): boolean => idstr === name || idstr.endsWith(`/${name}`);

function pathOr(name: string, folder: string): string {
  const path = resolve(folder, name);
  return existsSync(path) ? path : name;
}

/** A file of that name goes before a package. */
async function familiesOf(name: string, folder: string) {
  const path = pathOr(name, folder);
  try {
    return await bringFamilies(path, folder);
  } catch (error) {
    if (!(error instanceof CliFault) || error.code !== "PLUGIN_UNREADABLE" || path !== name) throw error;
    throw new CliFault("SUBJECT_UNKNOWN", `${name} is no file, and no module that can be imported`, {
      exit: 2,
      hint: error.message,
      cause: error,
    });
  }
}

type Family = Awaited<ReturnType<typeof bringFamilies>>[number]["family"];

/** A family whose parameters are none is a description. What a section of no bytes told about others would be a guess. */
function withoutParameters(family: Family): Description | undefined {
  try {
    const parameters = family.infer({ idstr: family.name, instance: 0, version: 0, bytes: new Uint8Array(0) });
    const isNone = typeof parameters === "object" && parameters !== null && Object.keys(parameters).length === 0;
    return isNone ? family.build(parameters) : undefined;
  } catch (error) {
    if (isMigrationError(error)) return undefined;
    throw error;
  }
}

/** The device sections of a stream. `names`: only of families with these names. */
export async function subjectOfStream(
  path: string,
  options: VerbOptions,
  terminal: Terminal,
  names?: ReadonlySet<string>,
): Promise<Subject> {
  const described: DescribedSubject[] = [];
  const listed: ListedSubject[] = [];
  const leftOut: LeftOut[] = [];
  const wanted = wantedBy(options);
  const isAsked = (idstr: string): boolean => names === undefined || [...names].some((name) => isOf(idstr, name));
  /** One section that its vmdesc does not fit says nothing about the others. */
  const list = (key: string, device: VmdescDevice, body: Uint8Array): void => {
    try {
      listed.push({ key, device, leaves: leavesOf(device, body) });
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      leftOut.push({ key, why: error.message });
    }
  };
  const read = await visitStream(
    path,
    await readOptions(options, terminal),
    {
      section({ head, key, phase, described: found, listed: device, body }) {
        if (phase !== "full" || !wanted(head) || !isAsked(head.idstr)) return;
        if (found !== undefined && !isMigrationError(found)) described.push({ key, description: found.description });
        else if (device !== undefined && body !== undefined) list(key, device, body);
        else leftOut.push({ key, why: isMigrationError(found) ? found.message : "nothing describes it" });
      },
    },
    terminal,
  );
  return { machine: read.configuration?.machineType, described, listed, leftOut };
}

function leavesOf(device: VmdescDevice, body: Uint8Array): readonly ListedLeaf[] {
  return layoutByVmdesc(device, body).values.map(({ value: _, ...leaf }) => leaf);
}

function wantedBy(options: VerbOptions): (section: { idstr: string; instance: number }) => boolean {
  const globs = (options["section"] as readonly string[] | undefined) ?? [];
  const matchers = globs.map(sectionMatcher);
  return (section) => matchers.length === 0 || matchers.some((matches) => matches(section));
}

export function mustHold({ described, listed, leftOut }: Subject, name: string, globs: readonly string[] = []): void {
  if (described.length + listed.length > 0) return;
  const [first] = leftOut;
  if (first === undefined && globs.length > 0) {
    throw new CliFault("SCHEMA_EMPTY", `nothing in ${name} is called ${globs.join(" or ")}`, {
      exit: 2,
      hint: "without --section all of it is told",
    });
  }
  throw new CliFault("SCHEMA_EMPTY", `nothing in ${name} has a schema`, {
    exit: 2,
    hint: first === undefined ? "it holds no device sections" : `${first.key}: ${first.why}`,
  });
}
