// Every published package has an example that a user can copy: a file of its folder `examples`, shown word for word in its
// README, and run by one of its tests.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { scanModule } from "../scan-module.ts";
import { readWorkspaces, repositoryRoot } from "../workspaces.ts";

/** A program's example is the command in its README; what it makes is tested as what it is. */
const programs = ["create-godwit-plugin"];

const published = readWorkspaces().filter(({ manifest }) => !manifest.private);

interface Files {
  readonly readme: string;
  /** Examples by their paths in the package; tests by theirs. */
  readonly examples: ReadonlyMap<string, string>;
  readonly tests: ReadonlyMap<string, string>;
}

/** What is missing, one line each. */
function findings(name: string, { readme, examples, tests }: Files): string[] {
  const found: string[] = [];
  const blocks = Array.from(readme.matchAll(/```ts\n([\s\S]*?)```/g), ([, block]) => block as string);
  const importedBy = (texts: ReadonlyMap<string, string>): Set<string> =>
    new Set(
      [...texts].flatMap(([from, text]) =>
        scanModule(from, text).imports.map(({ specifier }) => join(from, "..", specifier)),
      ),
    );
  const [run, used] = [importedBy(tests), importedBy(examples)];
  const shown = [...examples].filter(([, text]) => blocks.some((block) => text.includes(block.trimEnd())));
  if (shown.length === 0) found.push(`${name}: its README shows no example of examples/`);
  for (const [path, text] of examples) {
    // What writes an example's files is run by hand.
    const isRun = run.has(path) || used.has(path) || basename(path).startsWith("write-");
    if (!isRun) found.push(`${name}: no test runs ${path}`);
    const outside = scanModule(path, text).imports.filter(
      ({ specifier }) => specifier.startsWith(".") && !examples.has(join(path, "..", specifier)),
    );
    found.push(...outside.map(({ specifier }) => `${name}: ${path} imports "${specifier}", which no user has`));
  }
  for (const [path] of shown) {
    if (!run.has(path)) found.push(`${name}: no test runs ${path}, which its README shows`);
  }
  return found;
}

function filesOf(folder: string): Files {
  const root = join(repositoryRoot, folder);
  // Node 20 has no glob.
  const read = (below: string) => {
    const names = existsSync(join(root, below))
      ? readdirSync(join(root, below), { recursive: true, encoding: "utf8" })
      : [];
    const paths = names.filter((name) => name.endsWith(".ts")).map((name) => `${below}/${name.replaceAll("\\", "/")}`);
    return new Map(paths.sort().map((path) => [path, readFileSync(join(root, path), "utf8")] as const));
  };
  return {
    readme: readFileSync(join(root, "README.md"), "utf8"),
    examples: read("examples"),
    tests: new Map([...read("test")].filter(([, text]) => text.includes("examples/"))),
  };
}

describe("a published package has an example", () => {
  const libraries = published.filter(({ manifest }) => !programs.includes(manifest.name));
  it.each(libraries.map(({ folder, manifest }) => [manifest.name, folder] as const))("%s", (name, folder) => {
    expect(findings(name, filesOf(folder))).toEqual([]);
  });

  it("all of them, but for programs", () => {
    expect(libraries.length).toBeGreaterThan(15);
    expect(published.map(({ manifest }) => manifest.name)).toEqual(expect.arrayContaining(programs));
  });
});

describe("the check", () => {
  const example = `import { u8 } from "@godwit/core";\nexport const one = u8;\n`;
  const good: Files = {
    readme: `# P\n\n\`\`\`ts\n${example}\`\`\`\n`,
    examples: new Map([["examples/one.ts", example]]),
    tests: new Map([["test/readme.test.ts", `import { one } from "../examples/one.ts";`]]),
  };

  it("finds nothing wrong with a good package", () => {
    expect(findings("p", good)).toEqual([]);
  });

  it.each<readonly [string, Partial<Files>, string]>([
    ["no example", { examples: new Map() }, "p: its README shows no example of examples/"],
    ["one that is not shown", { readme: "# P" }, "p: its README shows no example of examples/"],
    [
      "one that is shown otherwise",
      { readme: good.readme.replace("one =", "two =") },
      "p: its README shows no example of examples/",
    ],
    ["one that nobody runs", { tests: new Map() }, "p: no test runs examples/one.ts"],
    [
      "one that is run by another name",
      { tests: new Map([["test/a.test.ts", `import { one } from "./examples/one.ts";`]]) },
      "p: no test runs examples/one.ts",
    ],
    [
      "one that reaches into the sources",
      { examples: new Map([["examples/one.ts", `${example}export * from "../src/index.ts";\n`]]) },
      `p: examples/one.ts imports "../src/index.ts", which no user has`,
    ],
  ])("finds %s", (_, change, finding) => {
    expect(findings("p", { ...good, ...change })).toContain(finding);
  });
});
