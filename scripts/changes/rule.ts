// The rule of releases: bytes change only with a version, and a version says so. Pure; `check.ts` reads the repository.
import { comparePublished, type Side, sideOf } from "@godwit/core/compatibility";
import type { Dump } from "@godwit/core/tools";
import { peerRangeFor } from "../peer-range.ts";
import { type Bump, bumpBetween, compareVersions, isAtLeast, isCaretLeft, isVersion, largest, raised } from "./bump.ts";
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
  /** Ranges of its peers, by name. */
  readonly peers: Readonly<Record<string, string>>;
  /** Packages whose version of the day is published in it, as a caret. */
  readonly carries: readonly string[];
}

export interface Changes {
  readonly packages: readonly PackageState[];
  readonly changesets: readonly Changeset[];
  /** The oldest of a plugin first. */
  readonly dumps: readonly PublishedDump[];
  /** What each plugin's descriptions are now, by the plugin's name without the scope. */
  readonly present: ReadonlyMap<string, Dump>;
  /** Whether changesets are in their mode for pre-releases. */
  readonly isPrerelease?: boolean;
}

export type ChangeCode =
  | "PRERELEASE"
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
  const prereleases = checkPrerelease(changes);
  // Of such versions nothing else can be told.
  if (prereleases.length > 0) return prereleases;
  const pending = pendingBumps(changes.changesets);
  return [
    ...checkDependents(changes.packages, pending),
    ...changes.changesets.flatMap((one) => checkChangeset(one, changes.packages)),
    ...[...changes.present].flatMap(([plugin, present]) => checkPlugin(plugin, present, changes, pending)),
    ...changes.packages.filter((one) => !one.private).flatMap((one) => checkUpgrading(one, pending)),
  ];
}

/** Dumps, ranges and tables know versions of the form 1.2.3 only: a release would stop half-way. */
function checkPrerelease({ packages, isPrerelease = false }: Changes): ChangeFinding[] {
  const of = (about: string, text: string, remedy: string): ChangeFinding => {
    return { code: "PRERELEASE", about, place: "", text, remedy };
  };
  const versions = packages
    .filter(({ version }) => !isVersion(version))
    .map(({ name, version }) => of(name, `its version is ${version}`, "give it one of the form 1.2.3"));
  if (!isPrerelease) return versions;
  const text = "changesets would raise versions to pre-releases, which dumps and ranges have no form for";
  return [of(".changeset/pre.json", text, "run `bun --bun changeset pre exit`, and delete the file"), ...versions];
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

/** What a pending version asks of the packages that hold its older ones. */
function checkDependents(packages: readonly PackageState[], pending: ReadonlyMap<string, Bump>): ChangeFinding[] {
  const published = packages.filter((one) => !one.private);
  return published.flatMap((peer) => {
    const next = raised(peer.version, pending.get(peer.name) ?? "none");
    const leaves = `${peer.name} goes to ${next}`;
    return published.flatMap((one) => {
      const bump = pending.get(one.name) ?? "none";
      const range = one.peers[peer.name];
      // Who has the older peer cannot have this version any more.
      const least = one.version.startsWith("0.") ? "minor" : "major";
      if (range !== undefined && peerRangeFor(range, next) !== range && !isAtLeast(bump, least))
        return [tooSmallFor(one, peer, `${leaves}, and its peer range "${range}" with it`, least)];
      if (one.carries.includes(peer.name) && isCaretLeft(peer.version, next) && bump === "none")
        return [tooSmallFor(one, peer, `${leaves}, and what is published of it has ^${peer.version}`, "patch")];
      return [];
    });
  });
}

function tooSmallFor({ name }: PackageState, peer: PackageState, text: string, least: Bump): ChangeFinding {
  const remedy = `write a changeset, .changeset/NAME.md, with the line "${name}": ${least}`;
  return { code: "BUMP_TOO_SMALL", about: name, place: peer.name, text, remedy };
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
  return comparePublished(published, present).map((finding) => {
    const { description, subject, places, code, says, remedy, old, new: now } = finding;
    const of = description === "" ? places.map(({ section }) => section).join(", ") : description;
    const values = old === now ? "" : ` (${from}: ${old || "nothing"}; now: ${now || "nothing"})`;
    return {
      code: "WIRE_UNVERSIONED",
      about: name,
      place: placeOf({ description: of, field: subject }),
      text: `${code}: ${says}${values}`,
      remedy: `${remedy}. Bring it as since(n), until(n), a new version with a minimumVersion, or a subsection`,
    };
  });
}

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
