// The packed `godwit` command in a third party's folder, on Node, Bun and Deno: it inspects, compares and checks streams of
// that party's own machine by the descriptions of a module that it was given, and imports nothing that it was not.
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installInto } from "../pack.ts";
import { run } from "../run.ts";

/** Names that tools look for where they are started. */
const traps = ["godwit.config.js", "index.js", "main.js", "godwit.js", ".godwitrc.js"];

const runtimes: ReadonlyMap<string, readonly string[]> = new Map([
  ["node", []],
  ["bun", []],
  ["deno", ["run", "--allow-all", "--no-remote"]],
]);

interface Case {
  readonly args: readonly string[];
  readonly exit: number;
  /** What the output must hold, and must not. */
  readonly holds: readonly string[];
  readonly lacks?: readonly string[];
}

const plugin = ["--plugin", "./machine.js"];
const own = "board:3/acme-sensor";
const cases: readonly Case[] = [
  {
    args: ["inspect", "a.stream", ...plugin, "--json", "--section", "*acme-sensor"],
    exit: 0,
    holds: [`"path": "lines[1].divisor"`, `"value": "1152921504606846976"`, "./machine.js"],
  },
  { args: ["inspect", "a.stream"], exit: 0, holds: ["acme-board-1", own], lacks: ["machine.js"] },
  { args: ["inspect", "a.stream", "--config", "godwit.json"], exit: 0, holds: ["./machine.js"] },
  { args: ["verify", "a.stream", ...plugin], exit: 0, holds: [own] },
  {
    args: ["diff", "a.stream", "b.stream", ...plugin],
    exit: 1,
    holds: ["lines[1].divisor", "99", "alarm"],
    lacks: ["lines[0].divisor", "samples", "acme.ram"],
  },
  { args: ["diff", "a.stream", "a.stream", ...plugin], exit: 0, holds: [] },
  { args: ["schema", "./machine.js", "--as", "markdown"], exit: 0, holds: ["acme-sensor", "divisor"] },
  { args: ["inspect", "a.stream", "--plugin", "./nothing.js"], exit: 2, holds: ["./nothing.js"], lacks: ["    at "] },
  { args: ["inspect", "machine.js"], exit: 1, holds: ["INPUT_KIND", "text"], lacks: ["    at "] },
];

/** What is wrong, a line each. Prints what was done. */
export async function checkPackedCli(installation: Installation): Promise<string[]> {
  const folder = join(installation.root, "cli-user");
  mkdirSync(folder, { recursive: true });
  cpSync(join(import.meta.dirname, "fixture"), folder, { recursive: true });
  for (const name of traps) copyFileSync(join(folder, "trap.js"), join(folder, name));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "acme-board", type: "module", main: "index.js" }));
  writeFileSync(join(folder, "godwit.json"), JSON.stringify({ plugins: ["./machine.js"] }));
  installInto(folder, installation);
  const saved = await run("node", ["save.js"], folder);
  if (saved.exitCode !== 0) return [`the third party's machine is not saved:\n${saved.output}`];

  const program = join(folder, "node_modules/godwit", binOf(join(folder, "node_modules/godwit/package.json")));
  const findings: string[] = [];
  for (const [runtime, options] of runtimes) {
    for (const { args, exit, holds, lacks = [] } of cases) {
      const { exitCode, output } = await run(runtime, [...options, program, ...args], folder);
      const wrong = [
        ...(exitCode === exit ? [] : [`exit ${exitCode}, not ${exit}`]),
        ...holds.filter((text) => !output.includes(text)).map((text) => `no "${text}"`),
        ...lacks.filter((text) => output.includes(text)).map((text) => `"${text}" should not be there`),
      ];
      findings.push(...wrong.map((finding) => `${runtime} godwit ${args.join(" ")}: ${finding}\n${output}`));
    }
    console.log(`${runtime} godwit: ${cases.length} commands`);
  }
  if (existsSync(join(folder, "trapped"))) findings.push("godwit imported a module of the working folder unasked");
  return findings;
}

function binOf(manifest: string): string {
  return (JSON.parse(readFileSync(manifest, "utf8")) as { bin: Record<string, string> }).bin["godwit"] ?? "";
}
