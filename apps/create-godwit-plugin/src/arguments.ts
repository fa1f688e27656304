// The command line: what was asked for, or which of its words cannot be.
import { CreateError } from "./errors.ts";

export type Wish =
  | { readonly help: true }
  | { readonly help: false; readonly name: string; readonly folder?: string; readonly device?: string };

export const usage = `create-godwit-plugin NAME [--folder FOLDER] [--device DEVICE]

Makes a Godwit device plugin with tests, ready to be published.

  NAME              the package, such as godwit-plugin-tod or @acme/godwit-tod
  --folder FOLDER   where; the default is the last part of NAME. It must be empty, or not be there
  --device DEVICE   the device's name on the wire and in the code; the default is what NAME says besides "godwit"
                    and "plugin"
  --help, -h        prints this
`;

/** `ARGUMENT_SURPLUS`, `NAME_MISSING`, `OPTION_UNKNOWN`, `OPTION_VALUE`. */
export function parseArguments(words: readonly string[]): Wish {
  const names: string[] = [];
  const options: { folder?: string; device?: string } = {};
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--help" || word === "-h") return { help: true };
    if (!word.startsWith("-")) {
      names.push(word);
      continue;
    }
    const [option = "", ...glued] = word.split("=");
    const key = optionKey(option);
    const value = glued.length > 0 ? glued.join("=") : rest.shift();
    if (value === undefined || value === "" || (glued.length === 0 && value.startsWith("-"))) {
      throw new CreateError("OPTION_VALUE", `${option} needs a value`);
    }
    options[key] = value;
  }
  const [name, surplus] = names;
  if (name === undefined) throw new CreateError("NAME_MISSING", "name the package, such as godwit-plugin-tod");
  if (surplus !== undefined) {
    throw new CreateError("ARGUMENT_SURPLUS", `one name is enough: "${name}", and then what is "${surplus}"?`);
  }
  return { help: false, name, ...options };
}

function optionKey(option: string): "folder" | "device" {
  if (option === "--folder") return "folder";
  if (option === "--device") return "device";
  throw new CreateError("OPTION_UNKNOWN", `there is no option ${option}; there are --folder, --device and --help`);
}
