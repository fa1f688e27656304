// The command: words in, text out, and an exit code.
import { parseArguments, usage } from "./arguments.ts";
import { createPlugin } from "./create.ts";
import { CreateError } from "./errors.ts";

export interface Output {
  out(text: string): void;
  error(text: string): void;
}

/** 0: done; 1: refused, and nothing was written. */
export function runCommand(words: readonly string[], output: Output): number {
  try {
    const wish = parseArguments(words);
    if (wish.help) output.out(usage);
    else output.out(told(createPlugin(wish)));
    return 0;
  } catch (error) {
    if (!(error instanceof CreateError)) throw error;
    output.error(`${error.code}: ${error.message}\n`);
    if (error.code === "NAME_MISSING") output.error(`\n${usage}`);
    return 1;
  }
}

function told({ folder, device, files }: ReturnType<typeof createPlugin>): string {
  return `${folder}: ${files.length} files, a plugin for the device "${device}"

  cd ${folder}
  npm install      (or: bun install)
  npm test

README.md says how to go on: the device, its tests, a release.
`;
}
