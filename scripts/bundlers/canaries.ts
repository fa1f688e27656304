// The check can see: what must be found is planted, and bundled by each bundler.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Bundler } from "./bundle.ts";
import { findingsOf } from "./judge.ts";

interface Canary {
  readonly name: string;
  readonly text: string;
  /** What must be said of it. */
  readonly finding: RegExp;
}

const canaries: readonly Canary[] = [
  {
    name: "a runtime's module",
    text: `import { readFileSync } from "node:fs"; export const read = readFileSync;`,
    finding: /node:fs/,
  },
  {
    name: "a runtime's module deep inside",
    text: `export * from "@godwit/transport/tcp";`,
    finding: /node:net/,
  },
  { name: "a name that is not exported", text: `export { nobody } from "@godwit/core";`, finding: /nobody/ },
  {
    name: "a second copy of core",
    text: `export { createKernel } from "@godwit/core"; export { other } from "acme";`,
    finding: /2 copies of core/,
  },
  {
    name: "a copy of core in somebody's output",
    text: `export { MigrationError } from "@godwit/core"; export const copy = Symbol.for("godwit.MigrationError");`,
    finding: /2 copies of core in the output/,
  },
];

const inBrowsers = { target: "browser", external: [], minify: false } as const;

/** Canaries that sing no more. */
export async function canaryFindings(root: string, bundlers: readonly Bundler[]): Promise<string[]> {
  const project = join(root, "canary");
  plantSecondCore(root, project);
  const missed: string[] = [];
  for (const bundler of bundlers) {
    for (const { name, text, finding } of canaries) {
      const path = join(project, `${name.replaceAll(" ", "-")}.js`);
      writeFileSync(path, text);
      const found = findingsOf(await bundler.bundle({ jobs: [{ name, path }], ...inBrowsers }));
      if (!found.some((each) => finding.test(each))) {
        missed.push(`${bundler.name} lets a canary pass: ${name}${found.map((each) => `\n  ${each}`).join("")}`);
      }
    }
  }
  console.log(`canaries: ${bundlers.length * canaries.length - missed.length} of ${bundlers.length * canaries.length}`);
  return missed;
}

/** `acme` brings a core of its own. */
function plantSecondCore(root: string, project: string): void {
  const acme = join(project, "node_modules", "acme");
  const second = join(acme, "node_modules", "@godwit", "core");
  mkdirSync(dirname(second), { recursive: true });
  cpSync(join(root, "node_modules", "@godwit", "core"), second, { recursive: true });
  writeFileSync(
    join(acme, "package.json"),
    `{ "name": "acme", "version": "1.0.0", "type": "module", "main": "index.js" }`,
  );
  writeFileSync(join(acme, "index.js"), `export { createKernel as other } from "@godwit/core";`);
}
