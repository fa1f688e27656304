// A new user in an empty folder, with each of Bun, Node and Deno: core and two plugins, a device of their own, a save that
// another process loads; then the engine and a transport beside them, and a live migration.
// All that they write is the guide "Ten minutes", and what it prints is what its page shows.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../../workspaces.ts";
import {
  copySources,
  expect,
  expectSame,
  guideCode,
  installedIn,
  inTurn,
  type Journey,
  linesOf,
  type Step,
  writeJson,
} from "../journey.ts";

const first = ["@godwit/core", "@godwit/ram-dirty-tracker", "@godwit/qtailq-codec"];
const second = ["@godwit/migration", "@godwit/transport"];
const isOurs = (name: string) => name.startsWith("@godwit/") || name === "godwit";
const guide = "docs/guides/ten-minutes.md";
const sources = ["device.ts", "machine.ts", "save.ts", "load.ts", "tsconfig.json"];

/** What the guide says that its programs print: `save.ts` and `load.ts`, then `migrate.ts`. */
function shown(): readonly [saved: string[], migrated: string[]] {
  const page = readFileSync(join(repositoryRoot, guide), "utf8");
  const [saved, migrated, ...more] = Array.from(page.matchAll(/^```text\n([\s\S]*?)^```$/gm), ([, text]) =>
    linesOf(text ?? ""),
  );
  expect(saved !== undefined && migrated !== undefined && more.length === 0, `${guide} does not show two outputs`);
  return [saved, migrated];
}

interface Tool {
  readonly name: "Bun" | "Node" | "Deno";
  /** Adds packages to the folder's project. May return what had to be done otherwise. */
  add(journey: Journey, folder: string, names: readonly string[]): Promise<string | undefined>;
  /** What is installed, all of it. */
  installed(folder: string): string[];
  /** Makes programs of sources that have come, where the runtime wants that. */
  compile?(journey: Journey, folder: string): Promise<unknown>;
  /** Runs a program; all that it printed. */
  start(journey: Journey, folder: string, program: string): Promise<string>;
}

const bun: Tool = {
  name: "Bun",
  add: async ({ shell }, folder, names) => void (await shell.output("bun", ["add", ...names], folder)),
  installed: installedIn,
  start: ({ shell }, folder, program) => shell.output("bun", [`${program}.ts`], folder),
};

const node: Tool = {
  name: "Node",
  async add({ shell }, folder, names) {
    await shell.output("npm", ["install", ...names], folder);
    return undefined;
  },
  installed: installedIn,
  async compile({ shell }, folder) {
    await shell.output("npm", ["install", "--save-dev", "typescript", "@types/node"], folder);
    await shell.output("npm", ["pkg", "set", "type=module"], folder);
    await shell.output("npx", ["tsc"], folder);
  },
  start: ({ shell }, folder, program) => shell.output("node", [`dist/${program}.js`], folder),
};

/** What Deno says where it wants a package of every platform, and the registry behind ours has not got them all. */
const notThere = /Could not find npm package '(@msgpackr-extract\/[\w-]+)'/;

const deno: Tool = {
  name: "Deno",
  async add({ shell }, folder, names) {
    const { exitCode, output } = await shell.run("deno", ["add", ...names.map((name) => `npm:${name}`)], folder);
    if (exitCode === 0) return undefined;
    const [, missing] = notThere.exec(output) ?? [];
    expect(missing !== undefined, `deno add ended with ${exitCode}:\n${output}`);
    // As Deno's users do it whose packages another manager installs.
    const { imports } = JSON.parse(readFileSync(join(folder, "deno.json"), "utf8")) as { imports: object };
    const all = [...new Set([...Object.keys(imports), ...names])];
    writeJson(join(folder, "deno.json"), { nodeModulesDir: "manual" });
    await shell.output("npm", ["install", ...all], folder);
    return `deno add asks for every platform's ${missing.replace(/-[a-z]+-\w+$/, "")}, which the registry that npm is configured with lacks: installed by npm`;
  },
  installed(folder) {
    if (existsSync(join(folder, "node_modules"))) return installedIn(folder);
    const lock = JSON.parse(readFileSync(join(folder, "deno.lock"), "utf8")) as { npm: Record<string, unknown> };
    return Object.keys(lock.npm)
      .map((key) => key.replace(/(?<=.)@.*/, ""))
      .sort();
  },
  start: ({ shell }, folder, program) => shell.output("deno", ["run", "-A", `${program}.ts`], folder),
};

const folderOf = ({ name }: Tool) => `user-${name.toLowerCase()}`;

function stepsOf(tool: Tool): Step[] {
  let folder = "";
  return [
    {
      name: `${tool.name}: install core and two plugins in an empty folder`,
      async run(journey) {
        folder = journey.user(folderOf(tool));
        const otherwise = await tool.add(journey, folder, first);
        expectSame(tool.installed(folder), [...first, "eventemitter3"].sort(), "what is installed");
        return otherwise;
      },
    },
    {
      name: `${tool.name}: a device of twenty lines, saved, and loaded by another process`,
      async run(journey) {
        copySources(guideCode, sources, folder);
        const device = linesOf(readFileSync(join(folder, "device.ts"), "utf8"));
        expect(device.length <= 20, `the device has ${device.length} lines`);
        await tool.compile?.(journey, folder);
        const saved = linesOf(await tool.start(journey, folder, "save")).slice(-1);
        const loaded = linesOf(await tool.start(journey, folder, "load")).slice(-2);
        expectSame([...saved, ...loaded], shown()[0], "what the guide's programs print");
        return undefined;
      },
    },
    {
      name: `${tool.name}: add the engine and a transport, and migrate live over TCP`,
      async run(journey) {
        const otherwise = await tool.add(journey, folder, second);
        expectSame(tool.installed(folder).filter(isOurs), [...first, ...second].sort(), "ours among what is installed");
        copySources(guideCode, ["migrate.ts"], folder);
        await tool.compile?.(journey, folder);
        const [, migrated] = shown();
        const printed = linesOf(await tool.start(journey, folder, "migrate")).slice(-migrated.length);
        expectSame(printed, migrated, "what the guide's program prints");
        return otherwise;
      },
    },
  ];
}

/** Peers come along, and optional ones do not. */
const peers: Step[] = (["bun", "npm"] as const).map((manager) => ({
  name: `${manager === "bun" ? "Bun" : "Node"}: a plugin alone brings its peers, and none that it can do without`,
  async run({ shell, user }) {
    const folder = user(`peers-${manager}`);
    await shell.output(manager, [manager === "bun" ? "add" : "install", "@godwit/virtio-rng"], folder);
    const wanted = ["@godwit/core", "@godwit/virtio-core", "@godwit/virtio-rng", "eventemitter3"];
    expectSame(installedIn(folder), wanted, "what is installed");
    return undefined;
  },
}));

export const newUser: readonly Step[] = [...[bun, node, deno].flatMap((tool) => inTurn(stepsOf(tool))), ...peers];
