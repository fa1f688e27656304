// Completion for fish: verbs and options with what they say.
import type { VerbWords } from "./model.ts";

export function fishScript(verbs: readonly VerbWords[]): string {
  const lines = verbs.flatMap(({ name, says, options }) => [
    `complete -c godwit -n __fish_use_subcommand -f -a ${name} -d ${quoted(says)}`,
    ...options.map(
      ({ long, says: what, takesValue }) =>
        `complete -c godwit -n '__fish_seen_subcommand_from ${name}' -l ${long.slice(2)} -d ${quoted(what)}${takesValue ? " -r" : ""}`,
    ),
  ]);
  return `# fish completion for godwit; godwit completions fish > ~/.config/fish/completions/godwit.fish
${lines.join("\n")}
`;
}

const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
