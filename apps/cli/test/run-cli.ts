// The program in this process: what it prints, and how it ends.
import { printable } from "../src/io/printable.ts";
import { jsonText, silent, type Terminal } from "../src/io/terminal.ts";
import { runProgram } from "../src/program.ts";

export interface Run {
  readonly code: 0 | 1 | 2 | 3;
  readonly stdout: string;
  readonly stderr: string;
  /** What was written as bytes. */
  readonly bytes: Uint8Array;
}

export interface RunInit {
  /** In pieces, as a pipe would bring it. */
  readonly stdin?: AsyncIterable<Uint8Array> | Iterable<Uint8Array> | Uint8Array;
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export async function runCli(args: readonly string[], init: RunInit = {}): Promise<Run> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const written: Uint8Array[] = [];
  const { stdin, folder = process.cwd(), environment = {} } = init;
  const terminal: Terminal = {
    out: (line = "") => void stdout.push(printable(line)),
    note: (line) => void stderr.push(printable(line)),
    json: (document) => void stdout.push(jsonText(document)),
    async write(bytes) {
      written.push(bytes.slice());
    },
    style: (_, text) => text,
    progress: () => silent,
    stdin: stdin === undefined ? pieces([]) : pieces(stdin instanceof Uint8Array ? [stdin] : stdin),
    stdinIsTerminal: stdin === undefined,
    stdoutIsTerminal: false,
    folder,
    environment,
  };
  const code = await runProgram(args, terminal);
  const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
  return { code, stdout: text(stdout), stderr: text(stderr), bytes: new Uint8Array(Buffer.concat(written)) };
}

async function* pieces(of: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield* of;
}
