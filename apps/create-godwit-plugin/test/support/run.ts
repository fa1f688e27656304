// A program run to its end.
import { spawn } from "node:child_process";

export interface Ran {
  readonly code: number;
  /** Standard output and standard error, in the order in which they arrived. */
  readonly output: string;
}

export function run(
  [command, ...words]: readonly [string, ...string[]],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const child = spawn(command, words, {
    cwd,
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  return new Promise((resolve) => {
    child.on("error", ({ message }) => resolve({ code: 127, output: `${output}${command}: ${message}\n` }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}
