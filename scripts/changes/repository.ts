// What the rule of releases looks at, as it stands in this repository.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readWorkspaces, repositoryRoot } from "../workspaces.ts";
import { readChangesets } from "./changesets.ts";
import { type PublishedDump, readDumps } from "./dumps.ts";
import type { Changes, PackageState } from "./rule.ts";

export function readPackages(root = repositoryRoot): PackageState[] {
  return readWorkspaces(root).map(({ folder, manifest }) => ({
    name: manifest.name,
    folder,
    version: manifest.version ?? "0.0.0",
    private: manifest.private === true,
    upgrading: textOf(join(root, folder, "UPGRADING.md")),
    changelog: textOf(join(root, folder, "CHANGELOG.md")),
    peers: manifest.peerDependencies ?? {},
    // Its template's manifest: `src/ranges.ts`.
    carries: manifest.name === "create-godwit-plugin" ? Object.keys(manifest.devDependencies ?? {}) : [],
  }));
}

export function readRepository(root = repositoryRoot): Omit<Changes, "present"> {
  return {
    packages: readPackages(root),
    changesets: readChangesets(join(root, ".changeset")),
    dumps: publishedDumps(root),
    isPrerelease: existsSync(join(root, ".changeset", "pre.json")),
  };
}

export function publishedDumps(root = repositoryRoot): PublishedDump[] {
  return readDumps(join(root, "docs", "dumps"));
}

const textOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");
