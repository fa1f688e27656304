// A small repository that keeps every rule, and then one breach of each.
import { describe, expect, it } from "vitest";
import { checkBoundaries, roleOf } from "../boundaries.ts";
import type { Manifest, Workspace } from "../workspaces.ts";

const core = ">=0.1.0 <1";
const root: Manifest = {
  name: "root",
  devDependencies: { vitest: "1.0.0", "@godwit/testkit": "workspace:^", "@godwit/test-support": "workspace:^" },
};

function workspace(folder: string, rest: Omit<Manifest, "name"> = {}): Workspace {
  const name = `@godwit/${folder.slice(folder.indexOf("/") + 1)}`;
  return { folder, manifest: { name, exports: { ".": "./src/index.ts" }, ...rest } };
}

/** Peers as they must be written: a range, and a devDependency on the workspace. */
function peers(...names: string[]): Omit<Manifest, "name"> {
  return {
    peerDependencies: Object.fromEntries(names.map((name) => [name, core])),
    devDependencies: Object.fromEntries(names.map((name) => [name, "workspace:^"])),
  };
}

const workspaces = [
  workspace("packages/core", {
    exports: { ".": "./src/index.ts", "./vmstate": "./src/vmstate/index.ts" },
    dependencies: { eventemitter3: "1.0.0" },
  }),
  workspace("packages/migration", peers("@godwit/core")),
  workspace("packages/transport"),
  workspace("packages/testkit", peers("@godwit/core", "@godwit/transport")),
  workspace("packages/test-support", { private: true }),
  workspace("plugins/bus", peers("@godwit/core")),
  workspace("plugins/disk", peers("@godwit/bus", "@godwit/core")),
  workspace("apps/machine", {
    private: true,
    dependencies: { "@godwit/core": "workspace:^", "@godwit/disk": "workspace:^" },
  }),
];

const check = (path: string, text: string) => checkBoundaries(workspaces, root, new Map([[path, text]]));

function checkWith(changed: Workspace): string[] {
  const all = workspaces.map((each) => (each.folder === changed.folder ? changed : each));
  return checkBoundaries(all, root, new Map());
}

describe("a repository that keeps the rules", () => {
  it("has no findings", () => {
    const files = new Map([
      ["packages/core/src/index.ts", 'import "eventemitter3"; export * from "./vmstate/index.ts";'],
      ["packages/core/src/vmstate/index.ts", 'import "../index.ts";'],
      ["packages/core/test/index.test.ts", 'import "vitest"; import "../src/index.ts"; import "@godwit/testkit";'],
      ["packages/transport/src/index.ts", 'import "node:net";'],
      ["packages/testkit/src/index.ts", 'import "@godwit/core"; import "@godwit/transport";'],
      ["plugins/bus/src/index.ts", 'import "@godwit/core/vmstate";'],
      ["plugins/disk/src/index.ts", 'import "@godwit/core"; import "@godwit/bus";'],
      ["plugins/disk/test/index.test.ts", 'import "@godwit/disk"; import "node:fs"; import "vitest";'],
      ["apps/machine/src/main.ts", 'import "node:fs"; import "@godwit/core"; import "@godwit/disk";'],
    ]);
    expect(checkBoundaries(workspaces, root, files)).toEqual([]);
  });

  it("knows the role of each workspace by its folder", () => {
    const roles = ["core", "package", "package", "testkit", "support", "plugin", "plugin", "app"];
    expect(workspaces.map(roleOf)).toEqual(roles);
  });
});

describe("a breach is found", () => {
  it.each([
    ["core imports a plugin", "packages/core/src/a.ts", 'import "@godwit/bus";', "imports point down"],
    ["core's test imports a plugin", "packages/core/test/a.test.ts", 'import "@godwit/bus";', "imports point down"],
    ["a plugin imports migration", "plugins/bus/src/a.ts", 'import "@godwit/migration";', "imports point down"],
    ["its test does", "plugins/bus/test/a.test.ts", 'import "@godwit/migration";', "imports point down"],
    ["a plugin imports transport", "plugins/bus/src/a.ts", 'import "@godwit/transport";', "imports point down"],
    ["a plugin imports an app", "plugins/bus/src/a.ts", 'import "@godwit/machine";', "imports point down"],
    ["a plugin that hides what it imports", "plugins/bus/src/a.ts", "import(name);", "is not a plain string"],
    ["a plugin ships testkit", "plugins/bus/src/a.ts", 'import "@godwit/testkit";', "imports point down"],
    [
      "testkit ships what only we need",
      "packages/testkit/src/a.ts",
      'import "@godwit/test-support";',
      "imports point down",
    ],
    ["testkit imports a plugin", "packages/testkit/src/a.ts", 'import "@godwit/bus";', "imports point down"],
    ["migration imports a plugin", "packages/migration/src/a.ts", 'import "@godwit/bus";', "imports point down"],
    ["an app ships testkit", "apps/machine/src/a.ts", 'import "@godwit/testkit";', "imports point down"],
    ["a plugin imports no peer", "plugins/bus/src/a.ts", 'import "@godwit/disk";', "is not a peerDependency"],
    ["a type import does it", "plugins/bus/src/a.ts", 'import type { A } from "@godwit/disk";', "is not a peer"],
    ["a deep import", "plugins/bus/src/a.ts", 'import "@godwit/core/src/index.ts";', "is not exported by"],
    ["an undeclared sub-path", "plugins/bus/src/a.ts", 'import "@godwit/core/stream";', "is not exported by"],
    ["a path out of the workspace", "plugins/bus/src/a.ts", 'import "../../../packages/core/src/a.ts";', "leaves its"],
    ["a test's path out of it", "plugins/bus/test/a.test.ts", 'import "../../disk/src/a.ts";', "leaves its workspace"],
    ["sources that import a test", "plugins/bus/src/a.ts", 'import "../test/a.ts";', "leaves the sources"],
    ["core imports node:", "packages/core/src/a.ts", 'import "node:fs";', "is a runtime's API"],
    ["a plugin does", "plugins/bus/src/a.ts", 'import "node:fs";', "is a runtime's API"],
    ["migration does", "packages/migration/src/a.ts", 'import "node:fs";', "is a runtime's API"],
    ["a built-in without its prefix", "apps/machine/src/a.ts", 'import "fs";', "no node: module"],
    ["another runtime's module", "apps/machine/src/a.ts", 'import "bun:sqlite";', "no node: module"],
    ["a package that is not declared", "plugins/bus/src/a.ts", 'import "eventemitter3";', "is not declared"],
    ["sources that need a devDependency", "plugins/bus/src/a.ts", 'import "vitest";', "is not declared"],
    ["an app's undeclared workspace", "apps/machine/src/a.ts", 'import "@godwit/bus";', "is not declared"],
    ["a package that imports itself", "plugins/bus/src/a.ts", 'import "@godwit/bus";', "is the package itself"],
    ["a reference directive", "plugins/bus/src/a.ts", '/// <reference types="node" />', "reference directive"],
  ])("%s", (_, path, text, finding) => {
    const findings = check(path, text);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain(`${path}:1: `);
    expect(findings[0]).toContain(finding);
  });

  it("a peer range that a minor of core would leave", () => {
    const narrow = { ...peers("@godwit/core"), peerDependencies: { "@godwit/core": "workspace:^" } };
    expect(checkWith(workspace("plugins/bus", narrow))).toEqual([expect.stringContaining("is not of the form")]);
  });

  it("a peer that is no devDependency", () => {
    const alone = { peerDependencies: { "@godwit/core": core } };
    expect(checkWith(workspace("plugins/bus", alone))).toEqual([expect.stringContaining("is not a devDependency")]);
  });

  it("a plugin that takes core as a dependency", () => {
    const findings = checkWith(workspace("plugins/bus", { dependencies: { "@godwit/core": "workspace:^" } }));
    expect(findings).toEqual([expect.stringContaining("is a dependency, not a peer")]);
  });

  it("an app that is not published, and that another app depends on", () => {
    const other = workspace("apps/other", { dependencies: { "@godwit/machine": "workspace:^" } });
    const findings = checkBoundaries([...workspaces, other], root, new Map());
    expect(findings).toEqual([expect.stringContaining("not to apps/machine")]);
  });

  it("a cycle, by its names and once", () => {
    const findings = checkWith(workspace("plugins/bus", peers("@godwit/core", "@godwit/disk")));
    expect(findings).toEqual(["cycle of dependencies: @godwit/bus -> @godwit/disk -> @godwit/bus"]);
  });
});
