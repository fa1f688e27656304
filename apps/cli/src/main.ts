#!/usr/bin/env node
// The `godwit` command.
import { processTerminal } from "./io/terminal.ts";
import { runProgram } from "./program.ts";

const args = process.argv.slice(2);
// A reader that has seen enough (`godwit ... | head`) ends us in good order.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
void runProgram(args, processTerminal(args.includes("--no-color") ? false : undefined)).then((code) => {
  process.exitCode = code;
});
