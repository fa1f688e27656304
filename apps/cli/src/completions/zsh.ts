// Completion for zsh: verbs and options with what they say.
import type { OptionWords, VerbWords } from "./model.ts";

export function zshScript(verbs: readonly VerbWords[]): string {
  const cases = verbs.map(
    ({ name, options }) => `    ${name})
      _arguments -s ${options.map(argument).join(" ")} '*:file:_files'
      ;;`,
  );
  return `#compdef godwit
# zsh completion for godwit; put this into your .zshrc, behind compinit: source <(godwit completions zsh)
_godwit() {
  local -a verbs
  verbs=(
${verbs.map(({ name, says }) => `    ${quoted(`${name}:${says.replaceAll(":", "\\:")}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe 'verb' verbs
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
${cases.join("\n")}
  esac
}
compdef _godwit godwit
`;
}

function argument({ long, says, takesValue }: OptionWords): string {
  const text = says.replaceAll(/[[\]:\\]/g, (char) => `\\${char}`);
  return quoted(`*${long}${takesValue ? "=" : ""}[${text}]${takesValue ? ":value:_files" : ""}`);
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
