// Runs a command of this repository to its end and keeps what it printed.
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { repositoryRoot } from "./workspaces.ts";

export interface RunResult {
  readonly exitCode: number;
  /** Standard output and standard error, in the order in which they arrived. */
  readonly output: string;
  readonly seconds: number;
}

export function run(command: string, args: readonly string[], cwd = repositoryRoot): Promise<RunResult> {
  const startMs = Date.now();
  const path = [join(repositoryRoot, "node_modules/.bin"), process.env["PATH"]].join(delimiter);
  const env = { ...process.env, PATH: path, NO_COLOR: "1", TURBO_TELEMETRY_DISABLED: "1" };
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    const end = (exitCode: number) =>
      resolve({ exitCode, output: Buffer.concat(chunks).toString(), seconds: (Date.now() - startMs) / 1000 });
    child.on("error", (error) => {
      chunks.push(Buffer.from(`${command}: ${error.message}\n`));
      end(127);
    });
    child.on("close", (code) => end(code ?? 1));
  });
}
