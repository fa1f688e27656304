// A minor of core leaves no plugin behind: the ranges that are published hold every version below the next major, and
// the release script leaves them alone.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isPeerRange, peerRangeFor } from "../peer-range.ts";
import { readManifest, readWorkspaces, repositoryRoot } from "../workspaces.ts";

const workspaces = readWorkspaces();
const own = new Set(workspaces.map(({ manifest }) => manifest.name));
const peers = workspaces
  .filter(({ manifest }) => !manifest.private)
  .flatMap(({ manifest }) =>
    Object.entries(manifest.peerDependencies ?? {})
      .filter(([name]) => own.has(name))
      .map(([name, range]) => ({ of: manifest.name, name, range })),
  );

/** Whether `>=low <major` holds a version, by the rules of semver for versions without a pre-release. */
function holds(range: string, version: string): boolean {
  const [, low = "", end] = /^>=(\d+\.\d+\.\d+) <(\d+)$/.exec(range) ?? [];
  const [least, parts] = [low, version].map((one) => one.split(".").map(Number)) as [number[], number[]];
  const at = parts.findIndex((part, i) => part !== least[i]);
  return (at < 0 || (parts[at] as number) > (least[at] as number)) && (parts[0] as number) < Number(end);
}

describe.each(peers)("$of with its peer $name $range", ({ name, range }) => {
  const version = workspaces.find(({ manifest }) => manifest.name === name)?.manifest.version as string;
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);

  it("holds the peer as it is, and every patch and minor to come", () => {
    const later = [`${major}.${minor}.${patch + 1}`, `${major}.${minor + 1}.0`, `${major}.${minor + 99}.7`];
    for (const each of [version, ...later]) {
      expect(holds(range, each)).toBe(true);
      expect(peerRangeFor(range, each)).toBe(range);
    }
  });

  it("ends at the peer's next major, and then moves to it", () => {
    const next = `${major + 1}.0.0`;
    expect(holds(range, next)).toBe(false);
    const moved = peerRangeFor(range, next);
    expect([holds(moved, next), holds(moved, `${major + 1}.5.0`), holds(moved, version)]).toEqual([true, true, false]);
  });
});

it("every published package but core, and but programs, has core as its peer", () => {
  const without = workspaces
    .filter(
      ({ folder, manifest }) => !manifest.private && manifest.name !== "@godwit/core" && !folder.startsWith("apps/"),
    )
    .filter(({ manifest }) => manifest.peerDependencies?.["@godwit/core"] === undefined);
  expect(without.map(({ manifest }) => manifest.name)).toEqual([]);
  expect(peers.length).toBeGreaterThan(0);
});

it("what a new plugin has as its peer is the core that it is tested with", () => {
  const path = join(repositoryRoot, "apps/create-godwit-plugin/template/_package.json");
  const range = JSON.parse(readFileSync(path, "utf8")).peerDependencies["@godwit/core"];
  const { version = "" } = readManifest("packages/core");
  expect([isPeerRange(range), peerRangeFor(range, version)]).toEqual([true, range]);
});
