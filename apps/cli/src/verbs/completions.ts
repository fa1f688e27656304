// `godwit completions`: what a shell needs to complete verbs and options.
import { bashScript } from "../completions/bash.ts";
import { fishScript } from "../completions/fish.ts";
import { wordsOf } from "../completions/model.ts";
import { zshScript } from "../completions/zsh.ts";
import { CliFault } from "../faults.ts";
import { outLines } from "../io/terminal.ts";
import type { Verb } from "../verb.ts";

const shells = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** With `--json`: `{shell, script}`. */
export const completions: Verb = {
  name: "completions",
  summary: "print a completion script for bash, zsh or fish",
  examples: [
    ["source <(godwit completions bash)", "complete verbs, options and files in this shell"],
    ["godwit completions fish > ~/.config/fish/completions/godwit.fish", "in every fish from now on"],
  ],
  define(command) {
    command.argument("<shell>", "bash, zsh or fish");
  },
  async run({ args: [shell = ""], options, terminal, everyVerb }) {
    if (!Object.hasOwn(shells, shell)) {
      throw new CliFault("SHELL_UNKNOWN", `there is no completion for "${shell}"`, {
        exit: 2,
        hint: "bash, zsh or fish",
      });
    }
    const script = shells[shell as keyof typeof shells]((await everyVerb()).map(wordsOf));
    if (options["json"] === true) terminal.json({ shell, script });
    else outLines(terminal.out, script.trimEnd());
    return 0;
  },
};
