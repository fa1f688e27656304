// The program: its verbs, what they have in common, and how their outcome becomes an exit code.
import { Command, CommanderError } from "commander";
import { faultLines, reportOf } from "./faults.ts";
import { outLines, type Terminal } from "./io/terminal.ts";
import type { Verb, VerbCommand, VerbContext } from "./verb.ts";
import { version } from "./version.ts";

/** A verb's file is imported when it is asked for, and not before: a start must not cost what it does not need. */
export const verbs: Readonly<Record<string, () => Promise<Verb>>> = {
  inspect: async () => (await import("./verbs/inspect.ts")).inspect,
  verify: async () => (await import("./verbs/verify.ts")).verify,
  diff: async () => (await import("./verbs/diff.ts")).diff,
  check: async () => (await import("./verbs/check.ts")).check,
  edit: async () => (await import("./verbs/edit.ts")).edit,
  extract: async () => (await import("./verbs/extract.ts")).extract,
  record: async () => (await import("./verbs/record.ts")).record,
  replay: async () => (await import("./verbs/replay.ts")).replay,
  convert: async () => (await import("./verbs/convert.ts")).convert,
  schema: async () => (await import("./verbs/schema.ts")).schema,
  completions: async () => (await import("./verbs/completions.ts")).completions,
};

/** Runs the program; the exit code. `args` are the words behind its name. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<0 | 1 | 2 | 3> {
  const asked = args.find((word) => !word.startsWith("-"));
  const named = namesFor(args, asked);
  let outcome: 0 | 1 = 0;
  const program = new Command("godwit")
    .description("Open, check, compare, mend and move QEMU migration streams.")
    .version(version, "-V, --version")
    .helpOption("-h, --help")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => outLines(terminal.out, text),
      writeErr: (text) => outLines(terminal.note, text),
    })
    .addHelpText(
      "after",
      "\nExit codes: 0 fine, 1 the stream or the comparison is bad, 2 wrong use, 3 a bug of godwit.",
    );
  for (const name of named) {
    const verb = await (verbs[name] as () => Promise<Verb>)();
    program.addCommand(
      commandOf(
        verb,
        async (context) => {
          outcome = await verb.run(context);
        },
        terminal,
      ),
    );
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return outcome;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (args.includes("--json")) terminal.json({ error: { code: "USAGE", message: error.message } });
      return 2;
    }
    return tell(error, args, terminal);
  }
}

/** The verbs that an answer needs: the one that is asked for, or all; a version needs none. */
function namesFor([first]: readonly string[], asked: string | undefined): readonly string[] {
  if (asked !== undefined && Object.hasOwn(verbs, asked)) return [asked];
  return first === "-V" || first === "--version" ? [] : Object.keys(verbs);
}

/** The command with its help: as the program runs it, and as the reference prints it. */
function commandOf(verb: Verb, run: (context: VerbContext) => Promise<void>, terminal: Terminal): Command {
  const command = new Command(verb.name).description(verb.summary).exitOverride().showHelpAfterError("(see --help)");
  verb.define(command);
  command
    .option("--json", "the result as one JSON document")
    .option("--debug", "with an error, the stack trace")
    .option("--no-color", "no colours, on a terminal either")
    .addHelpText("after", examplesText(verb));
  command.action(async () => {
    await run({ args: command.args, options: command.opts(), terminal, everyVerb: () => everyVerb(terminal) });
  });
  command.configureOutput({
    writeOut: (text) => outLines(terminal.out, text),
    writeErr: (text) => outLines(terminal.note, text),
  });
  return command;
}

/** All verbs with their commands, none of which runs: for completions and the reference. */
export async function everyVerb(terminal: Terminal): Promise<readonly VerbCommand[]> {
  const made: VerbCommand[] = [];
  for (const load of Object.values(verbs)) {
    const verb = await load();
    made.push({ verb, command: commandOf(verb, async () => {}, terminal) });
  }
  return made;
}

function examplesText({ examples }: Verb): string {
  return `\nExamples:\n${examples.map(([command, says]) => `  $ ${command}\n      ${says}`).join("\n")}`;
}

function tell(error: unknown, args: readonly string[], terminal: Terminal): 1 | 2 | 3 {
  const { report, exit } = reportOf(error);
  if (args.includes("--json")) terminal.json({ error: report });
  for (const line of faultLines(report)) terminal.note(line);
  if (args.includes("--debug") && error instanceof Error) outLines(terminal.note, error.stack ?? "");
  return exit;
}
