// Plugins of different versions: a third party's releases, made of small variants, published, and installed beside each
// other in one tree; one program says on each runtime what becomes of machines that are made of them.
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contract, oldestContract } from "../../../packages/core/src/index.ts";
import { emit } from "../../consumers/compile.ts";
import {
  copySources,
  expect,
  expectSame,
  installedIn,
  inTurn,
  type Journey,
  lastLine,
  type Step,
  writeJson,
} from "../journey.ts";

const plugin = "@acme/godwit-buzzer";
const releases = [
  { version: "0.9.0", contract: oldestContract, description: "1.0" },
  { version: "1.0.0", contract, description: "1.0" },
  { version: "1.1.0", contract, description: "1.1" },
  { version: "2.0.0", contract: contract + 1, description: "1.1" },
] as const;

const ours = ["@godwit/core", "@godwit/migration", "@godwit/ram-dirty-tracker", "@godwit/transport"];
const aliases = releases.map(({ version }) => `buzzer-${version.replace(/\.\d+$/, "")}`);
/** As npm and Bun write that a version is wanted under another name. */
const aliased = releases.map(({ version }, at) => `${aliases[at]}@npm:${plugin}@${version}`);
/** What the program counts. */
const scenarioCount = 7;

async function publishReleases({ shell, user, registry }: Journey): Promise<void> {
  const folder = user("acme");
  writeJson(join(folder, "package.json"), { name: "acme", private: true, type: "module" });
  await shell.output("bun", ["add", "@godwit/core"], folder);
  for (const release of releases) {
    const name = `buzzer-${release.version}`;
    const made = join(folder, name);
    copySources("plugins/buzzer", ["index.ts"], join(made, "src"));
    copyFileSync(
      join(import.meta.dirname, "../plugins/buzzer", `description-${release.description}.ts`),
      join(made, "src", "description.ts"),
    );
    const constants = [`version = ${JSON.stringify(release.version)}`, `contract = ${release.contract}`];
    writeFileSync(join(made, "src", "release.ts"), constants.map((one) => `export const ${one};\n`).join(""));
    expectSame(await emit(folder, `${name}/src`, `${name}/dist`), [], `${plugin}@${release.version} compiles`);
    writeJson(join(made, "package.json"), {
      name: plugin,
      version: release.version,
      type: "module",
      files: ["dist"],
      exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" } },
      peerDependencies: { "@godwit/core": ">=0.1.0 <1" },
    });
    await shell.output("npm", ["publish", "--access", "public"], made);
  }
  const { versions = {}, "dist-tags": tags } = registry.published().get(plugin) ?? {};
  expectSame([Object.keys(versions), tags], [releases.map(({ version }) => version), { latest: "2.0.0" }], plugin);
}

async function makeProject(
  { user }: Journey,
  name: string,
  install: (folder: string) => Promise<unknown>,
): Promise<void> {
  const folder = user(name);
  writeJson(join(folder, "package.json"), { name, private: true, type: "module" });
  // Deno takes what another manager installed.
  writeJson(join(folder, "deno.json"), { nodeModulesDir: "manual" });
  await install(folder);
  expectSame(
    installedIn(folder).filter((one) => one.startsWith("@godwit/")),
    ours,
    "ours among what is installed",
  );
  expectSame(
    installedIn(folder).filter((one) => one.startsWith("buzzer-")),
    aliases,
    "the plugin's versions",
  );
  copySources("user/versions", ["scenarios.ts", "runtime.d.ts"], join(folder, "src"));
  expectSame(await emit(folder, "src", "out"), [], "the scenarios compile");
}

function runStep(runtime: string, command: readonly [string, ...string[]], project: string): Step {
  return {
    name: `${runtime}: what becomes of machines whose plugins have different versions`,
    async run({ shell, root }) {
      const [program, ...args] = command;
      const output = await shell.output(program, [...args, "out/scenarios.js"], join(root, project));
      expect(lastLine(output) === `${scenarioCount} of ${scenarioCount} held`, output);
      return `${scenarioCount} scenarios`;
    },
  };
}

const road: readonly Step[] = [
  {
    name: `publish ${releases.length} releases of a third party's plugin`,
    async run(journey) {
      await publishReleases(journey);
      return undefined;
    },
  },
  {
    name: "Node: install them beside each other, under names of their own",
    async run(journey) {
      const install = (folder: string) => journey.shell.output("npm", ["install", ...ours, ...aliased], folder);
      await makeProject(journey, "versions-npm", install);
      return undefined;
    },
  },
  {
    name: "Bun: install them beside each other, under names of their own",
    async run(journey) {
      const install = (folder: string) => journey.shell.output("bun", ["add", ...ours, ...aliased], folder);
      await makeProject(journey, "versions-bun", install);
      return undefined;
    },
  },
];

export const versions: readonly Step[] = inTurn(road, [
  runStep("Node", ["node"], "versions-npm"),
  runStep("Bun", ["bun"], "versions-bun"),
  runStep("Deno", ["deno", "run", "--allow-all"], "versions-npm"),
]);
