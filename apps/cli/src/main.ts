#!/usr/bin/env node
// The `godwit` command.
import { processTerminal } from "./io/terminal.ts";
import { runProgram } from "./program.ts";

const args = process.argv.slice(2);
const terminal = processTerminal(args.includes("--no-color") ? false : undefined);
let code: number | undefined;
process.stdout.on("error", async (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough of a text (`godwit ... | head`) ends us in good order.
  if (error.code === "EPIPE" && !terminal.hasWritten) process.exit(0);
  // A verb that waited for its bytes to be written has told it already.
  if (!code) await tellUnwritable(error);
  process.exit(2);
});
void runProgram(args, terminal).then((ended) => {
  code = ended;
  process.exitCode = ended;
});

/** Imported where it is needed: a start must not cost it. */
async function tellUnwritable(error: NodeJS.ErrnoException): Promise<void> {
  const [{ faultLines, reportOf }, { stdoutFault }] = await Promise.all([
    import("./faults.ts"),
    import("./io/output-file.ts"),
  ]);
  for (const line of faultLines(reportOf(stdoutFault(error)).report)) terminal.note(line);
}
