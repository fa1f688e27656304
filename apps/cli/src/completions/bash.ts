// Completion for bash: verbs first, then the verb's options, files everywhere else.
import type { VerbWords } from "./model.ts";

export function bashScript(verbs: readonly VerbWords[]): string {
  const cases = verbs.map(
    ({ name, options }) => `      ${name}) words="${options.map(({ long }) => long).join(" ")}" ;;`,
  );
  return `# bash completion for godwit; put this into your .bashrc: source <(godwit completions bash)
_godwit() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${verbs.map(({ name }) => name).join(" ")}" -- "$current"))
    return
  fi
  if [[ "$current" == -* ]]; then
    case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _godwit godwit
`;
}
