// A third party's project: devices, a plugin, a machine and tools, compiled against the packed packages and run.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { entriesOf, type Installation, installInto } from "../pack.ts";
import { type Cell, cells, compile, emit } from "./compile.ts";
import { nodeWithoutRequire, runOnEach } from "./runtimes.ts";

const sources = import.meta.dirname;
/** Sections that the scenario's machine saves, by name. */
const sectionCount = 6;

/** What is wrong, a line each. Prints what was done. */
export async function checkConsumers(installation: Installation): Promise<string[]> {
  const project = join(installation.root, "consumer");
  const entries = installation.packages.flatMap(({ workspace }) => entriesOf(workspace));
  makeProject(project, installation, entries);
  return [
    ...unusedFields(installation),
    ...(await checkTypes(project)),
    ...(await checkRuns(project, entries)),
    ...(await checkRequire(project, entries)),
  ];
}

function makeProject(project: string, installation: Installation, entries: readonly string[]): void {
  mkdirSync(project, { recursive: true });
  for (const folder of ["fixture", "canary"]) cpSync(join(sources, folder), join(project, folder), { recursive: true });
  installInto(project, installation);
  const dependencies = Object.fromEntries(installation.packages.map(({ workspace }) => [workspace.manifest.name, "*"]));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "acme", type: "module", dependencies }));
  // Every entry that a package has, so that a new one is looked at without a word here.
  const lines = entries.map((entry, index) => `import * as entry${index} from ${JSON.stringify(entry)};`);
  const list = entries.map((_, index) => `entry${index}`).join(", ");
  writeFileSync(
    join(project, "fixture", "entries.ts"),
    `${lines.join("\n")}
export const entries: readonly object[] = [${list}];
(globalThis as unknown as { console: { log(text: string): void } }).console.log(\`entries: \${entries.length}\`);
`,
  );
}

/** Kinds of field that the fixture's description lacks. */
function unusedFields({ packages }: Installation): string[] {
  const core = packages.find(({ workspace }) => workspace.manifest.name === "@godwit/core");
  const declared = readFileSync(join(core?.folder ?? "", "dist/vmstate/fields.d.ts"), "utf8");
  const names = [...declared.matchAll(/^export declare (?:const|function) (\w+)/gm)].map(([, name]) => name as string);
  const text = readFileSync(join(sources, "fixture", "fields.ts"), "utf8");
  return [...new Set(names)]
    .filter((name) => name !== "defaultBounds" && !new RegExp(`^  ${name},$`, "m").test(text))
    .map((name) => `consumers/fixture/fields.ts does not use the field "${name}"`);
}

async function checkTypes(project: string): Promise<string[]> {
  const findings: string[] = [];
  for (const cell of cells) {
    const compiled = await compile(project, cell, ["fixture/*.ts", ...canariesOf(cell)]);
    findings.push(...compiled.findings.map((finding) => `${compiled.cell}: ${finding}`));
    console.log(`${compiled.cell}: findings: ${compiled.findings.length}, errors to come: ${compiled.expected}`);
  }
  return findings;
}

function canariesOf({ resolution, dom }: Cell): string[] {
  const names = ["device.ts", "broken.d.ts"];
  if (!dom) names.push("runtime.ts");
  if (resolution === "nodenext") names.push("extension.ts");
  return names.map((name) => `canary/${name}`);
}

async function checkRuns(project: string, entries: readonly string[]): Promise<string[]> {
  const findings = await emit(project, "fixture", "out");
  for (const [program, expected] of [
    ["out/entries.js", `entries: ${entries.length}`],
    ["out/main.js", `sections: ${sectionCount}`],
  ] as const) {
    for (const { runtime, line, findings: found } of await runOnEach(project, [program], expected)) {
      console.log(`${runtime} import: ${line}`);
      findings.push(...found);
    }
  }
  return findings;
}

async function checkRequire(project: string, entries: readonly string[]): Promise<string[]> {
  const without = await nodeWithoutRequire();
  if (without !== undefined) console.log(`node require(): not in Node ${without}, whose require() knows no ES modules`);
  const ran = await runOnEach(project, ["fixture/require.cjs", ...entries], `entries: ${entries.length}`);
  const able = ran.filter(({ runtime }) => runtime !== "node" || without === undefined);
  for (const { runtime, line } of able) console.log(`${runtime} require(): ${line}`);
  return able.flatMap(({ findings }) => findings);
}
