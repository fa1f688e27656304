// The rule of releases: bytes change only with a version, and a version says so. Pure; `check.ts` reads the repository.
import { type CheckedDescription, comparePublished, isIn, type Side, sideOf } from "@godwit/core/compatibility";
import type { Dump } from "@godwit/core/tools";
import { type Bump, bumpBetween, compareVersions, isAtLeast, largest, raised } from "./bump.ts";
import type { Changeset } from "./changesets.ts";
import type { PublishedDump } from "./dumps.ts";
import { missingHeadings } from "./upgrading.ts";
import { type WireChange, wireChanges } from "./wire.ts";

export interface PackageState {
  readonly name: string;
  /** Path from the root of the repository. */
  readonly folder: string;
  readonly version: string;
  /** Not published. */
  readonly private: boolean;
  /** Text of its `UPGRADING.md` and `CHANGELOG.md`; empty where there is none. */
  readonly upgrading: string;
  readonly changelog: string;
}

export interface Changes {
  readonly packages: readonly PackageState[];
  readonly changesets: readonly Changeset[];
  /** The oldest of a plugin first. */
  readonly dumps: readonly PublishedDump[];
  /** What each plugin's descriptions are now, by the plugin's name without the scope. */
  readonly present: ReadonlyMap<string, Dump>;
}

export type ChangeCode =
  | "WIRE_UNVERSIONED"
  | "BUMP_TOO_SMALL"
  | "DUMP_MISSING"
  | "DUMP_AHEAD"
  | "DUMP_UNOWNED"
  | "CHANGESET_INVALID"
  | "CHANGESET_EMPTY"
  | "CHANGESET_PACKAGE"
  | "UPGRADING_MISSING";

export interface ChangeFinding {
  readonly code: ChangeCode;
  /** The package, or the changeset's file. */
  readonly about: string;
  /** `description#field` where it is about the wire. */
  readonly place: string;
  readonly text: string;
  /** What to write. */
  readonly remedy: string;
}

const scope = "@godwit/";

export function checkChanges(changes: Changes): ChangeFinding[] {
  const pending = pendingBumps(changes.changesets);
  return [
    ...changes.changesets.flatMap((one) => checkChangeset(one, changes.packages)),
    ...[...changes.present].flatMap(([plugin, present]) => checkPlugin(plugin, present, changes, pending)),
    ...changes.packages.filter((one) => !one.private).flatMap((one) => checkUpgrading(one, pending)),
  ];
}

/** The largest bump that the pending changesets give each package. */
function pendingBumps(changesets: readonly Changeset[]): Map<string, Bump> {
  const all = new Map<string, Bump>();
  for (const { releases } of changesets) {
    for (const [name, bump] of releases) all.set(name, largest([bump, all.get(name) ?? "none"]));
  }
  return all;
}

function checkChangeset(changeset: Changeset, packages: readonly PackageState[]): ChangeFinding[] {
  const { file, releases, summary, fault } = changeset;
  const about = `.changeset/${file}`;
  if (fault !== undefined) {
    const remedy = 'write packages between two lines of ---, such as "@godwit/core": patch, and a sentence behind them';
    return [{ code: "CHANGESET_INVALID", about, place: "", text: fault, remedy }];
  }
  const findings: ChangeFinding[] = [];
  if (releases.size > 0 && summary === "") {
    const remedy = "write what users of the packages will see: it goes into their changelogs";
    findings.push({ code: "CHANGESET_EMPTY", about, place: "", text: "it says nothing", remedy });
  }
  for (const name of releases.keys()) {
    const known = packages.find((one) => one.name === name);
    if (known !== undefined && !known.private) continue;
    const text = known === undefined ? `there is no package ${name}` : `${name} is not published`;
    const remedy = "name published packages only; what does not reach a user needs no changeset";
    findings.push({ code: "CHANGESET_PACKAGE", about, place: name, text, remedy });
  }
  return findings;
}

function checkPlugin(
  plugin: string,
  present: Dump,
  { packages, dumps }: Changes,
  pending: ReadonlyMap<string, Bump>,
): ChangeFinding[] {
  const name = `${scope}${plugin}`;
  const owner = packages.find((one) => one.name === name);
  if (owner === undefined) {
    const remedy = "name it as its package is, without the scope";
    return [{ code: "DUMP_UNOWNED", about: name, place: "", text: "no package has these descriptions", remedy }];
  }
  const { version } = owner;
  const own = dumps.filter((one) => one.plugin === plugin);
  const findings = checkHistory(name, own);
  const ahead = own.find((one) => compareVersions(one.version, version) > 0);
  if (ahead !== undefined) {
    const text = `docs/dumps has one of ${ahead.version}, and package.json says ${version}`;
    return [...findings, { code: "DUMP_AHEAD", about: name, place: "", text, remedy: "raise package.json's version" }];
  }
  const newest = own.at(-1);
  if (newest?.version !== version) {
    const text = `docs/dumps has none of ${version}`;
    const remedy = "run `bun run godwit check --plugins docs/dumps --write` and commit the new file";
    findings.push({ code: "DUMP_MISSING", about: name, place: "", text, remedy });
  }
  if (newest === undefined) return findings;
  const sides = [sideOf(newest.dump, newest.version), sideOf(present, name)] as const;
  const next = raised(version, pending.get(name) ?? "none");
  return [
    ...findings,
    ...unversioned(name, newest.version, ...sides),
    ...tooSmall(name, newest, next, wireChanges(newest.dump, present)),
  ];
}

/** Between two versions that are out it is too late for a changeset. */
function checkHistory(name: string, dumps: readonly PublishedDump[]): ChangeFinding[] {
  return dumps.slice(1).flatMap((later, i) => {
    const earlier = dumps[i] as PublishedDump;
    const [change] = wireChanges(earlier.dump, later.dump);
    if (change === undefined || isAtLeast(bumpBetween(earlier.version, later.version), "minor")) return [];
    const text = `${placeOf(change)} differs between ${earlier.version} and ${later.version}, which are a patch apart`;
    const remedy = `delete the dump of ${later.version} if it is not out yet, and raise the version by a minor`;
    return [{ code: "BUMP_TOO_SMALL", about: name, place: placeOf(change), text, remedy }];
  });
}

function unversioned(name: string, from: string, published: Side, present: Side): ChangeFinding[] {
  const compared = comparePublished(published, present).map((finding) => {
    const { description, subject, places, code, says, remedy, old, new: now } = finding;
    const of = description === "" ? places.map(({ section }) => section).join(", ") : description;
    const values = old === now ? "" : ` (${from}: ${old || "nothing"}; now: ${now || "nothing"})`;
    return { place: placeOf({ description: of, field: subject }), text: `${code}: ${says}${values}`, remedy };
  });
  return [...compared, ...filled(from, published, present)].map((one) => ({
    code: "WIRE_UNVERSIONED",
    about: name,
    place: one.place,
    text: one.text,
    remedy: `${one.remedy}. Bring it as since(n), until(n), a new version with a minimumVersion, or a subsection`,
  }));
}

/** What a comparison calls `unknown`, since in QEMU's dumps an empty description may be one that cannot migrate. Ours say. */
function filled(from: string, published: Side, present: Side) {
  const before = new Map(published.classes.map(({ name, description }) => [name, description]));
  return present.classes.flatMap(({ name, description }) => {
    const old = before.get(name);
    if (old === undefined || isEmpty(old) === isEmpty(description)) return [];
    const wrong = isEmpty(old)
      ? description.fields.filter((field) => isIn(field, old.version))
      : old.fields.filter((field) => isIn(field, old.version));
    return wrong.map((field) => ({
      place: placeOf({ description: description.name, field: field.name }),
      text: `DESCRIPTION_EMPTY: ${from} ${isEmpty(old) ? "wrote nothing here" : "wrote this, and nothing reads it"}`,
      remedy: isEmpty(old) ? "read it since a new version" : "read it until a new version",
    }));
  });
}

const isEmpty = ({ fields, subsections }: CheckedDescription) => fields.length === 0 && subsections.length === 0;

function tooSmall(name: string, newest: PublishedDump, next: string, changes: readonly WireChange[]): ChangeFinding[] {
  if (isAtLeast(bumpBetween(newest.version, next), "minor")) return [];
  // Several sections of one description, for different parameters, tell the same change.
  const first = new Map(changes.map((one) => [JSON.stringify({ ...one, section: "" }), one]));
  return [...first.values()].map((change) => {
    const { published, present } = change;
    const will = next === newest.version ? "no release of it is pending" : `the next version would be ${next}`;
    return {
      code: "BUMP_TOO_SMALL",
      about: name,
      place: placeOf(change),
      text: `the wire is not that of ${newest.version} (${published || "nothing"}; now: ${present || "nothing"}), and ${will}`,
      remedy: `write a changeset, .changeset/NAME.md, with the line "${name}": minor`,
    };
  });
}

function placeOf({ description, field }: { readonly description: string; readonly field: string }): string {
  return field === "" ? description : `${description}#${field}`;
}

/** A minor that is out, or about to be, tells its users how to move. */
function checkUpgrading(one: PackageState, pending: ReadonlyMap<string, Bump>): ChangeFinding[] {
  const next = raised(one.version, pending.get(one.name) ?? "none");
  return missingHeadings(one.upgrading, one.changelog, [one.version, next]).map((heading) => ({
    code: "UPGRADING_MISSING",
    about: one.name,
    place: "",
    text: `${one.folder}/UPGRADING.md has no heading "## ${heading}"`,
    remedy: `write it: what a user of ${one.name} must know before the move to ${heading}, and what reads whose saves`,
  }));
}
