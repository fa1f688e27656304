// What a shell is to complete: the verbs and their options, as the program itself knows them.
import type { VerbCommand } from "../verb.ts";

export interface OptionWords {
  /** `--json`. */
  readonly long: string;
  readonly says: string;
  /** A value follows. */
  readonly takesValue: boolean;
}

export interface VerbWords {
  readonly name: string;
  readonly says: string;
  readonly options: readonly OptionWords[];
}

export function wordsOf({ verb, command }: VerbCommand): VerbWords {
  const options = command.options.map(({ long, description, required, optional }) => ({
    long: long as string,
    says: description,
    takesValue: required || optional,
  }));
  return { name: verb.name, says: verb.summary, options: [...options, help] };
}

const help: OptionWords = { long: "--help", says: "options and examples", takesValue: false };
