// A machine type's name taken apart: `pc-q35-7.2` is release 7.2 of the family `pc-q35`.

export type Release = readonly [major: number, minor: number, patch: number];

export interface MachineType {
  readonly name: string;
  readonly family: string;
  /** Undefined where the name has none (`microvm`, `isapc`), or is an alias. */
  readonly release: Release | undefined;
}

export function machineType(name: string): MachineType {
  const [, family = name, major, minor, patch = "0"] = /^(.+)-(\d+)\.(\d+)(?:\.(\d+))?$/.exec(name) ?? [];
  if (major === undefined) return { name, family, release: undefined };
  return { name, family, release: [Number(major), Number(minor), Number(patch)] };
}

/** Below 0: `a` is older. */
export function compareReleases(a: Release, b: Release): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** Both ends belong to it. */
export function isBetween(release: Release, oldest: Release, newest: Release): boolean {
  return compareReleases(oldest, release) <= 0 && compareReleases(release, newest) <= 0;
}

/** Machine types up to this one read a stream without configuration section and footers (wire reference 18). */
const lastWithoutConfiguration: Release = [2, 3, 0];
const familiesOfThatTime = ["pc-i440fx", "pc-q35"];

export function readsConfiguration({ family, release }: MachineType): boolean {
  if (release === undefined || !familiesOfThatTime.includes(family)) return true;
  return compareReleases(release, lastWithoutConfiguration) > 0;
}
