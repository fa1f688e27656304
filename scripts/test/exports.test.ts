// What a package's manifest promises to import is one module in all its forms: a slip of the hand would give one entry
// another's code, which every bundler takes as it is.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { entriesOf } from "../pack.ts";
import { readWorkspaces, repositoryRoot } from "../workspaces.ts";

const published = readWorkspaces().filter(({ manifest }) => !manifest.private);

/** Entries whose module has another name. */
const renamed: Readonly<Record<string, string>> = {
  "@godwit/transport/uri": "transport-for",
  "godwit/catalogue": "model/catalogue",
};

/** What is wrong, one line each. `./a/b` is the module `a/b.ts` or `a/b/index.ts` of `src`, `.` is `index.ts`. */
function findings(
  packageName: string,
  exports: Readonly<Record<string, unknown>>,
  hasSource: (path: string) => boolean,
): string[] {
  const found: string[] = [];
  for (const [entry, target] of Object.entries(exports)) {
    if (entry === "./package.json") {
      if (target !== "./package.json") found.push(`${entry} is ${target}`);
      continue;
    }
    const name = entry.slice(2);
    const other = renamed[packageName + entry.slice(1)];
    const modules = other !== undefined ? [other] : name === "" ? ["index"] : [name, `${name}/index`];
    const path = modules.find((each) => hasSource(`./src/${each}.ts`));
    // In this order: the first condition that holds is taken, and `default` always does.
    const right =
      path === undefined
        ? undefined
        : { "godwit:source": `./src/${path}.ts`, types: `./dist/${path}.d.ts`, default: `./dist/${path}.js` };
    if (right === undefined) found.push(`${entry} has no source`);
    else if (JSON.stringify(target) !== JSON.stringify(right)) found.push(`${entry} is ${JSON.stringify(target)}`);
  }
  return found;
}

describe("the exports of a published package", () => {
  const libraries = published.filter((workspace) => entriesOf(workspace).length > 0);
  it.each(libraries.map(({ folder, manifest }) => [manifest.name, folder, manifest.exports ?? {}] as const))(
    "%s",
    (name, folder, exports) => {
      expect(findings(name, exports, (path) => existsSync(join(repositoryRoot, folder, path)))).toEqual([]);
      expect(exports).toHaveProperty(["./package.json"]);
    },
  );

  it("are there, and those of other names as well", () => {
    expect(libraries.length).toBeGreaterThan(15);
    expect(libraries.flatMap(entriesOf)).toEqual(expect.arrayContaining(Object.keys(renamed)));
  });
});

describe("the check", () => {
  const good = { "godwit:source": "./src/a.ts", types: "./dist/a.d.ts", default: "./dist/a.js" };
  const hasSource = (path: string) => ["./src/a.ts", "./src/b/index.ts"].includes(path);

  it("finds nothing wrong with a good entry", () => {
    expect(findings("p", { "./a": good, "./package.json": "./package.json" }, hasSource)).toEqual([]);
  });

  it.each<readonly [string, string, object]>([
    ["another module's code", "./a", { ...good, default: "./dist/b/index.js" }],
    ["another module's types", "./a", { ...good, types: "./dist/b/index.d.ts" }],
    ["a default that comes first", "./a", { default: good.default, "godwit:source": "./src/a.ts", types: good.types }],
    ["a condition that not everybody has", "./a", { ...good, default: undefined, import: good.default }],
    ["an entry of no source", "./c", good],
    ["the manifest elsewhere", "./package.json", good],
  ])("finds %s", (_, entry, target) => {
    expect(findings("p", { [entry]: target }, hasSource)).toHaveLength(1);
  });
});
