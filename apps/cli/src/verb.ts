// What a verb is to the program, and the options that verbs have in common.
import type { Command } from "commander";
import type { Terminal } from "./io/terminal.ts";

export interface Verb {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** For `--help` and the reference: a command, and what it does. */
  readonly examples: readonly (readonly [command: string, says: string])[];
  /** Arguments and options of its own. `--json`, `--debug` and `--no-color` are every verb's. */
  define(command: Command): void;
  /** 0: fine. 1: the stream or the comparison is bad. What it throws is told by `faults.ts`. */
  run(context: VerbContext): Promise<0 | 1>;
}

export interface VerbContext {
  /** The arguments in their order; a variadic one as the rest. */
  readonly args: readonly string[];
  readonly options: VerbOptions;
  readonly terminal: Terminal;
  /** The whole program, for verbs that tell of it. */
  everyVerb(): Promise<readonly VerbCommand[]>;
}

export interface VerbCommand {
  readonly verb: Verb;
  readonly command: Command;
}

/** As commander parses them; a verb knows its own. */
// biome-ignore lint/suspicious/noExplicitAny: each verb defines the types of its options beside their names
export type VerbOptions = Readonly<Record<string, any>>;

/** An option that may be given several times. */
export const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

/** The options of every verb that reads streams; `openStream` in model/open-stream.ts takes them. */
export function streamOptions(command: Command): void {
  command
    .option("--plugin <module>", "a module that brings descriptions; may be given several times", collect)
    .option("--config <file>", "a JSON file with the list `plugins` (default: what GODWIT_CONFIG names)")
    .option("--vmdesc <file>", "a stream or vmdesc JSON of the same QEMU and machine, for a stream that has none")
    .option("--footer-scan", "where nothing tells a section's end, take the next footer that fits for it")
    .option("--hold <size>", "how many bytes of sections may be held in memory, such as 64M", "64M");
}
