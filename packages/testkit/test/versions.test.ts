// Versions of packages: which came before which, and which may bring another wire.
import { expect, it } from "vitest";
import { compareVersions, isMinorAbove, type Version, versionOf } from "../src/plugin/versions.ts";

const of = (text: string): Version => versionOf(text) as Version;

it("orders them as semver.org does", () => {
  const ordered =
    "0.9.9 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.2.0 1.10.0";
  const versions = ordered.split(" ");
  expect([...versions].reverse().sort((a, b) => compareVersions(of(a), of(b)))).toEqual(versions);
  expect(compareVersions(of("1.0.0+a"), of("1.0.0+b"))).toBe(0);
});

it("knows what is none", () => {
  for (const text of ["", "1", "1.0", "01.0.0", "v1.0.0", "1.0.0.0", "next"]) expect(versionOf(text)).toBeUndefined();
});

it("takes another minor version for one that may change the wire, a patch not", () => {
  const cases = [
    ["0.2.1", "0.2.0", false],
    ["0.3.0", "0.2.9", true],
    ["1.0.0", "0.9.0", true],
    ["1.2.0", "1.2.0", false],
    ["1.1.0", "2.0.0", false],
  ] as const;
  for (const [later, earlier, may] of cases) expect(isMinorAbove(of(later), of(earlier))).toBe(may);
});
