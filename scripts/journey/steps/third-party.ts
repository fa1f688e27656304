// A third party makes a plugin with the command that is in the registry, publishes it by the plugin's own release steps,
// and a user installs it beside ours.
import { globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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

const plugin = "godwit-plugin-tod";
const firstVersion = "0.1.0";
const released = "0.1.1";
const author = "author-bun";
const user = "beside";
const used = ["@godwit/core", "@godwit/ram-dirty-tracker"];

/** By the command of each package manager's own. */
const commands: Record<string, readonly [string, ...string[]]> = {
  [author]: ["bun", "create", "godwit-plugin", plugin],
  "author-npm": ["npm", "create", "--yes", "godwit-plugin", plugin],
  "author-deno": ["deno", "run", "--allow-all", "npm:create-godwit-plugin", plugin],
};

/** Each file of a folder with what is in it. */
function contentsOf(folder: string): Record<string, string> {
  const paths = globSync(["**", "**/.*", "**/.*/**"], { cwd: folder }).sort();
  const files = paths.filter((path) => statSync(join(folder, path)).isFile());
  return Object.fromEntries(files.map((path) => [path, readFileSync(join(folder, path), "utf8")]));
}

const project = ({ root }: Journey) => join(root, author, plugin);

/** What the plugin's README asks an author for, and what `npx changeset` writes when its questions are answered. */
async function prepareRelease(journey: Journey): Promise<void> {
  const folder = project(journey);
  const git = (...args: string[]) => journey.shell.output("git", args, folder);
  await git("config", "--global", "user.name", "Acme");
  await git("config", "--global", "user.email", "acme@example.com");
  await git("init", "--quiet", "--initial-branch=main");
  const path = join(folder, "package.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  writeJson(path, { ...manifest, license: "MIT", repository: `https://example.com/acme/${plugin}.git` });
  writeFileSync(join(folder, ".changeset", "first.md"), `---\n"${plugin}": patch\n---\n\nIt rings.\n`);
  await git("add", "--all");
  await git("commit", "--quiet", "--message", "A plugin");
}

function runStep(runtime: string, command: readonly [string, ...string[]]): Step {
  return {
    name: `${runtime}: a machine with the third party's plugin beside ours is saved and loaded`,
    async run({ shell, root }) {
      const [program, ...args] = command;
      const output = await shell.output(program, [...args, "out/main.js"], join(root, user));
      expectSame(lastLine(output), `${plugin} ${released}: rings at 1060, memory 123`, "the program's last line");
      return undefined;
    },
  };
}

const road: readonly Step[] = [
  {
    name: "npm create, bun create and Deno make the same plugin",
    async run(journey) {
      const made: Record<string, string>[] = [];
      for (const [name, [command, ...args]] of Object.entries(commands)) {
        const folder = journey.user(name);
        await journey.shell.output(command, args, folder);
        made.push(contentsOf(join(folder, plugin)));
      }
      const [first = {}, ...others] = made;
      for (const other of others) expectSame(other, first, "the files");
      const { version, name } = JSON.parse(first["package.json"] ?? "{}");
      expectSame([name, version], [plugin, firstVersion], "the package");
      return `${Object.keys(first).length} files`;
    },
  },
  {
    name: "install what the plugin's tests and release need",
    async run(journey) {
      await journey.shell.output("bun", ["install"], project(journey));
      return `${installedIn(project(journey)).length} packages`;
    },
  },
  {
    name: "the plugin's types are right, as it was made",
    async run(journey) {
      await journey.shell.output("npm", ["run", "typecheck"], project(journey));
      return undefined;
    },
  },
  {
    name: "the plugin's tests pass on Bun, as it was made",
    async run(journey) {
      const output = await journey.shell.output("bun", ["--bun", "vitest", "run"], project(journey));
      return /Tests\s+(.*)/.exec(output)?.[1];
    },
  },
  {
    name: "the plugin's own release steps, with its tests on Node, publish it",
    async run(journey) {
      await prepareRelease(journey);
      await journey.shell.output("npm", ["run", "version-packages"], project(journey));
      const before = contentsOf(join(project(journey), "goldens"));
      await journey.shell.output("npm", ["run", "goldens"], project(journey));
      expectSame(
        contentsOf(join(project(journey), "goldens")),
        before,
        "golden files of a release that keeps the format",
      );
      await journey.shell.output("npm", ["run", "release"], project(journey));
      const { versions = {} } = journey.registry.published().get(plugin) ?? {};
      expectSame(Object.keys(versions), [released], `${plugin}'s versions`);
      expectSame(
        versions[released]?.["peerDependencies"],
        { "@godwit/core": ">=0.1.0 <1" },
        "what it asks of its users",
      );
      return `${plugin} ${released}`;
    },
  },
  {
    name: "a user installs it beside ours, in an empty folder",
    async run(journey) {
      const folder = journey.user(user);
      await journey.shell.output("bun", ["add", "@godwit/core", plugin], folder);
      expectSame(installedIn(folder), ["@godwit/core", "eventemitter3", plugin], "what is installed");
      await journey.shell.output("bun", ["add", "@godwit/ram-dirty-tracker"], folder);
      await journey.shell.output("npm", ["pkg", "set", "type=module"], folder);
      writeJson(join(folder, "deno.json"), { nodeModulesDir: "manual" });
      expectSame(installedIn(folder), [...used, "eventemitter3", plugin], "what is installed");
      copySources("user/beside", [""], join(folder, "src"));
      const findings = await emit(folder, "src", "out");
      expect(findings.length === 0, findings.join("\n"));
      return undefined;
    },
  },
];

export const thirdParty: readonly Step[] = inTurn(road, [
  runStep("Node", ["node"]),
  runStep("Bun", ["bun"]),
  runStep("Deno", ["deno", "run", "--allow-all"]),
]);
