// Versions of packages, as far as golden files need them. Source: semver.org, items 2, 9 and 11.

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  readonly before: string | undefined;
}

/** Undefined where it is none. */
export function versionOf(text: string): Version | undefined {
  const found = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(text);
  if (found === null) return undefined;
  const [, major, minor, patch, before] = found;
  return { major: Number(major), minor: Number(minor), patch: Number(patch), before };
}

/** Below 0 where `a` came before `b`. */
export function compareVersions(a: Version, b: Version): number {
  const order = a.major - b.major || a.minor - b.minor || a.patch - b.patch;
  if (order !== 0 || a.before === b.before) return order;
  if (a.before === undefined) return 1;
  if (b.before === undefined) return -1;
  return comparePreReleases(a.before.split("."), b.before.split("."));
}

function comparePreReleases(a: readonly string[], b: readonly string[]): number {
  for (const [i, x] of a.entries()) {
    const y = b[i];
    if (y === undefined) return 1;
    if (x === y) continue;
    const [m, n] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (m !== n) return m ? -1 : 1;
    return m ? Number(x) - Number(y) : x < y ? -1 : 1;
  }
  return a.length - b.length;
}

/** Whether `later` may bring what `earlier` did not have: another minor version at least. */
export function isMinorAbove(later: Version, earlier: Version): boolean {
  return later.major > earlier.major || (later.major === earlier.major && later.minor > earlier.minor);
}
