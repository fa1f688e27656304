// Versions of the form 1.2.3, and how large the step from one to another is.

/** From the smallest. `none`: a changeset that asks for no release. */
export const bumps = ["none", "patch", "minor", "major"] as const;
export type Bump = (typeof bumps)[number];

const form = /^(\d+)\.(\d+)\.(\d+)$/;

export const isVersion = (text: string): boolean => form.test(text);

type Parts = readonly [number, number, number];

function partsOf(version: string): Parts {
  const [, major, minor, patch] = form.exec(version) ?? [];
  if (patch === undefined) throw new Error(`"${version}" is not of the form 1.2.3`);
  return [Number(major), Number(minor), Number(patch)];
}

/** Below 0 where `a` is the older one. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  const at = left.findIndex((part, i) => part !== right[i]);
  return at < 0 ? 0 : (left[at] as number) - (right[at] as number);
}

/** `none` where `to` is not above `from`. */
export function bumpBetween(from: string, to: string): Bump {
  if (compareVersions(from, to) >= 0) return "none";
  const [before, after] = [partsOf(from), partsOf(to)];
  if (after[0] !== before[0]) return "major";
  return after[1] === before[1] ? "patch" : "minor";
}

/** Whether `to` is outside of `^from`. */
export function isCaretLeft(from: string, to: string): boolean {
  const least = from.startsWith("0.") ? "minor" : "major";
  return isAtLeast(bumpBetween(from, to), least);
}

/** What `version` becomes. */
export function raised(version: string, bump: Bump): string {
  const [major, minor, patch] = partsOf(version);
  if (bump === "major") return `${major + 1}.0.0`;
  if (bump === "minor") return `${major}.${minor + 1}.0`;
  return bump === "patch" ? `${major}.${minor}.${patch + 1}` : version;
}

export function isAtLeast(bump: Bump, least: Bump): boolean {
  return bumps.indexOf(bump) >= bumps.indexOf(least);
}

export function largest(all: readonly Bump[]): Bump {
  return all.reduce((a, b) => (isAtLeast(a, b) ? a : b), "none");
}

/** `0.1` of `0.1.7`: what `UPGRADING.md` has a heading for. */
export function minorOf(version: string): string {
  const [major, minor] = partsOf(version);
  return `${major}.${minor}`;
}
