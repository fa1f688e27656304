import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readWorkspaces, repositoryRoot } from "../workspaces.ts";

it("plugins tell a kernel the version that their package.json has", () => {
  const told = readWorkspaces().flatMap(({ folder, manifest }) => {
    const path = join(repositoryRoot, folder, "src", "version.ts");
    if (!existsSync(path)) return [];
    return [[manifest.name, /version = "(.*)"/.exec(readFileSync(path, "utf8"))?.[1], manifest.version]];
  });
  expect(told.length).toBeGreaterThanOrEqual(5);
  for (const [, own, packaged] of told) expect(own).toBe(packaged);
});
