#!/usr/bin/env node
// The `create-godwit-plugin` command: `bun create godwit-plugin NAME`, `npm create godwit-plugin NAME`.
import { runCommand } from "./command.ts";

process.exitCode = runCommand(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
});
