// Runs a program on each runtime, as a user would: no condition, no flag that changes what is resolved.
import { run } from "../run.ts";

const commands = new Map([
  ["node", ["node"]],
  ["bun", ["bun"]],
  ["deno", ["deno", "run", "--allow-all", "--no-remote"]],
]);

export interface Ran {
  readonly runtime: string;
  /** The last line that it printed. */
  readonly line: string;
  readonly findings: readonly string[];
}

/** `expected`: what the program's last line must be. */
export function runOnEach(project: string, args: readonly string[], expected: string): Promise<Ran[]> {
  return Promise.all([...commands.keys()].map((runtime) => runOn(runtime, project, args, expected)));
}

async function runOn(runtime: string, project: string, args: readonly string[], expected: string): Promise<Ran> {
  const [command = "", ...options] = commands.get(runtime) ?? [];
  const { exitCode, output } = await run(command, [...options, ...args], project);
  const line = output.trimEnd().split("\n").at(-1) ?? "";
  const good = exitCode === 0 && line === expected;
  const findings = good ? [] : [`${runtime} ${args[0]}: exit ${exitCode}, not "${expected}":\n${output}`];
  return { runtime, line, findings };
}

/** Node's version where it cannot `require()` an ES module (before 20.19, and 22.0 to 22.11). */
export async function nodeWithoutRequire(): Promise<string | undefined> {
  const { output } = await run("node", ["--print", "process.features.require_module ? '' : process.version"]);
  return output.trim() === "" ? undefined : output.trim();
}
