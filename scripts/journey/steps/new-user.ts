// A new user in an empty folder, with each of Bun, Node and Deno: core and two plugins, a device of their own, a save that
// another process loads; then the engine and a transport beside them, and a live migration.
import { existsSync, readFileSync } from "node:fs";
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

const first = ["@godwit/core", "@godwit/qtailq-codec", "@godwit/ram-dirty-tracker"];
const second = ["@godwit/migration", "@godwit/transport"];
const isOurs = (name: string) => name.startsWith("@godwit/") || name === "godwit";
const sources = ["device.ts", "machine.ts", "save.ts", "load.ts", "runtime.d.ts"];

interface Tool {
  readonly name: "Bun" | "Node" | "Deno";
  /** Adds packages to the folder's project. May return what had to be done otherwise. */
  add(journey: Journey, folder: string, names: readonly string[]): Promise<string | undefined>;
  /** What is installed, all of it. */
  installed(folder: string): string[];
  /** Runs a program of `src`; the lines that it printed. */
  start(journey: Journey, folder: string, program: string): Promise<string>;
}

const bun: Tool = {
  name: "Bun",
  add: async ({ shell }, folder, names) => void (await shell.output("bun", ["add", ...names], folder)),
  installed: installedIn,
  start: ({ shell }, folder, program) => shell.output("bun", [`src/${program}.ts`], folder),
};

const node: Tool = {
  name: "Node",
  async add({ shell }, folder, names) {
    await shell.output("npm", ["install", ...names], folder);
    return undefined;
  },
  installed: installedIn,
  async start({ shell }, folder, program) {
    await shell.output("npm", ["pkg", "set", "type=module"], folder);
    expectSame(await emit(folder, "src", "out"), [], "the user's program compiles");
    return shell.output("node", [`out/${program}.js`], folder);
  },
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
  start: ({ shell }, folder, program) => shell.output("deno", ["run", "--allow-all", `src/${program}.ts`], folder),
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
        copySources("user/first", sources, join(folder, "src"));
        const saved = lastLine(await tool.start(journey, folder, "save"));
        const loaded = lastLine(await tool.start(journey, folder, "load"));
        expect(saved.includes("readings 296:290296"), `the machine did not do what it was to do: ${saved}`);
        expectSame(loaded, saved, "the machine that was loaded");
        return undefined;
      },
    },
    {
      name: `${tool.name}: add the engine and a transport, and migrate live over TCP`,
      async run(journey) {
        const otherwise = await tool.add(journey, folder, second);
        expectSame(tool.installed(folder).filter(isOurs), [...first, ...second].sort(), "ours among what is installed");
        copySources("user/first", ["migrate.ts"], join(folder, "src"));
        expectSame(lastLine(await tool.start(journey, folder, "migrate")), "migrated", "the program's last line");
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
