// Which files the tests of this repository reach by imports, each with the test that does.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./blocks.ts";

const specifiers = [
  /\b(?:from|import)\s*\(?\s*(?:\/\*[^*]*\*\/\s*)?["'](\.{1,2}\/[^"']+\.ts)["']/g,
  /\bnew URL\(\s*["']([^"']+\.ts)["']/g,
];

const folders = ["packages", "plugins", "apps"];

function testFiles(): string[] {
  const packages = folders.flatMap((kind) => readdirSync(join(root, kind)).map((name) => join(kind, name, "test")));
  return [...packages, "scripts/test", "docs/guides/code"]
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".test.ts") && !name.includes("node_modules"))
        .map((name) => join(folder, name)),
    );
}

/** By file, from the repository's root: the test that reaches it. */
export function reachedByTests(): ReadonlyMap<string, string> {
  const reached = new Map<string, string>();
  const visit = (path: string, test: string): void => {
    if (reached.has(path) || !existsSync(join(root, path))) return;
    reached.set(path, test);
    const text = readFileSync(join(root, path), "utf8");
    for (const pattern of specifiers) {
      for (const [, specifier] of text.matchAll(pattern)) visit(join(dirname(path), specifier as string), test);
    }
  };
  for (const test of testFiles()) visit(test, test);
  return reached;
}
