// A project made by the packed command, with the packed packages installed: does it compile, pass its tests, build, run, and
// take the road to its next version? Slow; `bun run check` does it.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../support/run.ts";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));
const name = "@acme/godwit-plugin-tod";

/** What `installPacked` of scripts/pack.ts gives: `root/node_modules` has all of our packages, and what they depend on. */
export interface Installed {
  readonly root: string;
}

/** What is wrong, a line each. Prints what was done. */
export async function checkCreated(installed: Installed): Promise<string[]> {
  const folder = join(installed.root, "created");
  const findings = await createOnEach(installed, folder);
  if (findings.length > 0) return findings;
  const project = join(folder, "node");
  install(installed, project);
  for (const step of steps) findings.push(...(await step(project)));
  console.log(`created plugin: findings: ${findings.length}`);
  return findings;
}

type Step = (project: string) => Promise<string[]>;

const runtimes = { node: ["node"], bun: ["bun"], deno: ["deno", "run", "-A"] } as const;
const bin = (project: string, path: string) => join(project, "node_modules", path);
const tsc = (project: string, ...words: string[]) => ["node", bin(project, "typescript/bin/tsc"), ...words] as const;
const vitest = (project: string) => [bin(project, "vitest/vitest.mjs"), "run"] as const;

/** On each runtime the same files. */
async function createOnEach(installed: Installed, folder: string): Promise<string[]> {
  mkdirSync(folder);
  const main = join(installed.root, "node_modules/create-godwit-plugin/dist/main.js");
  const findings: string[] = [];
  for (const [runtime, command] of Object.entries(runtimes)) {
    const { code, output } = await run([...command, main, name, "--folder", runtime], folder);
    if (code !== 0) findings.push(`created plugin: ${runtime} exits with ${code}: ${output}`);
    else if (text(join(folder, runtime)) !== text(join(folder, "node"))) findings.push(`${runtime} writes other files`);
  }
  return findings;
}

/** All files of a folder with their texts. */
function text(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  return paths.map((path) => `${path.slice(folder.length)}\n${readFileSync(path, "utf8")}`).join("\n");
}

/** What the manifest asks for: ours as they are packed, the others as this repository has them. */
function install({ root }: Installed, project: string): void {
  const into = join(project, "node_modules");
  cpSync(join(root, "node_modules"), into, { recursive: true });
  const { devDependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  for (const wanted of Object.keys(devDependencies)) {
    const place = join(into, wanted);
    if (existsSync(place)) continue;
    mkdirSync(dirname(place), { recursive: true });
    const found = ["node_modules", "packages/core/node_modules"].map((one) => join(repository, one, wanted));
    symlinkSync(realpathSync(found.find((one) => existsSync(one)) ?? wanted), place);
  }
}

/** A command that must succeed and print `expected`. */
async function step(
  what: string,
  command: readonly [string, ...string[]],
  project: string,
  expected = "",
): Promise<string[]> {
  const { code, output } = await run(command, project);
  const went = code === 0 && output.includes(expected);
  console.log(`created plugin: ${what}: ${went ? "ok" : "failed"}`);
  return went ? [] : [`created plugin: ${what} exits with ${code}:\n${output}`];
}

const steps: readonly Step[] = [
  (project) => step("types", tsc(project), project),
  (project) => step("tests on node", ["node", ...vitest(project)], project, "Test Files  4 passed"),
  (project) => step("tests on bun", ["bun", "--bun", ...vitest(project)], project, "Test Files  4 passed"),
  (project) => step("tests on deno", ["deno", "run", "-A", ...vitest(project)], project, "Test Files  4 passed"),
  (project) => step("build", tsc(project, "-p", "tsconfig.build.json"), project),
  (project) => step("what is built", ["node", "--eval", importOwn], project, "plugin @acme/godwit-plugin-tod 0.1.0"),
  (project) => step("README's code", ["bun", "--eval", readmeCode(project)], project, "it rings"),
  (project) => step("example on bun", ["bun", "examples/main.ts"], project, "migrated: rings at 1060"),
  (project) => step("example on deno", ["deno", "run", "-A", "examples/main.ts"], project, "migrated: rings at 1060"),
  upgrade,
];

const importOwn = `import("${name}").then(({ todPlugin }) => {
  const { name, version } = todPlugin({});
  console.log("plugin", name, version);
})`;

function readmeCode(project: string): string {
  return /```ts\n([\s\S]*?)```/.exec(readFileSync(join(project, "README.md"), "utf8"))?.[1] ?? "";
}

/** UPGRADING.md, step by step: a field more is noticed, wants a version, and then a golden file beside the old one. */
async function upgrade(project: string): Promise<string[]> {
  const goldens = join(project, "goldens");
  const committed = readFileSync(join(goldens, "0.1.0.json"), "utf8");
  change(project, "src/description.ts", "version: 2,", "version: 3,");
  change(
    project,
    "src/description.ts",
    "{ absent: 0 }),\n",
    "{ absent: 0 }),\n    muted: since(3, bool, { absent: false }),\n",
  );
  change(project, "src/device.ts", "  ringing = false;\n", "  ringing = false;\n  muted = false;\n");
  const findings = await expectFinding(project, "WIRE_CHANGED");
  change(project, "package.json", '"version": "0.1.0"', '"version": "0.2.0"');
  findings.push(...(await step("src/version.ts", ["node", "scripts/version.js"], project)));
  findings.push(...(await expectFinding(project, "GOLDEN_MISSING")));
  const conformance = ["node", ...vitest(project), "conformance"] as const;
  await run(conformance, project, { GODWIT_GOLDENS: "write" });
  findings.push(...(await step("the next version", conformance, project, "Test Files  1 passed")));
  if (readdirSync(goldens).sort().join() !== "0.1.0.json,0.2.0.json")
    findings.push("created plugin: no second golden file");
  if (readFileSync(join(goldens, "0.1.0.json"), "utf8") !== committed)
    findings.push("created plugin: a golden file changed");
  return findings;
}

function change(project: string, path: string, from: string, to: string): void {
  const before = readFileSync(join(project, path), "utf8");
  if (!before.includes(from)) throw new Error(`${path} lacks ${from}`);
  writeFileSync(join(project, path), before.replace(from, to));
}

async function expectFinding(project: string, code: string): Promise<string[]> {
  const { code: exit, output } = await run(["node", ...vitest(project), "conformance"], project);
  const told = exit !== 0 && output.includes(code);
  console.log(`created plugin: ${code}: ${told ? "ok" : "failed"}`);
  return told ? [] : [`created plugin: ${code} was to be found:\n${output}`];
}
