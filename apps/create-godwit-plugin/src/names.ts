// Names: which the registry takes for a package, which a device may have, and what is made of them in the code.
import { builtinModules } from "node:module";
import { CreateError } from "./errors.ts";

const part = /^[a-z0-9][a-z0-9._-]*$/;
/** A section's idstr has at most 255 bytes, and a subsection's name, with a suffix, stands behind one byte of length. */
const longestDevice = 64;
const longestName = 214;
/**
 * Sections of every machine, of the template's example, a name of the testkit's that the code would have twice, and the
 * member of a dump that is no section.
 */
const takenDevices: readonly string[] = ["timer", "ram", "irqchip", "describe", "vmschkmachine"];

/** The names of one plugin, by the placeholders that stand for them in the template. */
export interface Names {
  /** The package, such as `@acme/godwit-tod`. */
  readonly packageName: string;
  /** The idstr on the wire, such as `tod` or `wall-clock`. */
  readonly device: string;
  /** In the code: `tod`, `wallClock`. */
  readonly camel: string;
  /** In the code: `Tod`, `WallClock`. */
  readonly pascal: string;
}

/** `NAME_INVALID` with the rule that it breaks. */
function checkPackageName(name: string): void {
  const problem = problemOf(name);
  if (problem !== undefined) throw new CreateError("NAME_INVALID", `"${name}" cannot be a package's name: ${problem}`);
}

function problemOf(name: string): string | undefined {
  if (name.length > longestName) return `it has ${name.length} characters, and ${longestName} is the most`;
  if (/[A-Z]/.test(name)) return `capitals are not allowed; try "${name.toLowerCase()}"`;
  const [scope, bare, ...rest] = name.startsWith("@") ? name.slice(1).split("/") : [undefined, ...name.split("/")];
  if (bare === undefined) return "a scope is followed by a slash and a name, as in @acme/godwit-plugin-tod";
  if (rest.length > 0) return "it has a slash too many; only @scope/name has one";
  for (const one of [scope, bare]) {
    if (one === undefined || part.test(one)) continue;
    if (one === "") return "a part of it is empty";
    return `"${one}" has to begin with a letter or a digit; letters, digits, ".", "_" and "-" may follow`;
  }
  if (scope !== undefined) return undefined;
  if (["node_modules", "favicon.ico"].includes(bare)) return "the registry keeps that name to itself";
  return builtinModules.includes(bare) ? "it is a module of Node's own" : undefined;
}

/** What follows from a package's name: `godwit-plugin-tod`, `@acme/godwit-tod` and `tod-godwit` are about a `tod`. */
export function deviceOf(packageName: string): string {
  const bare = packageName.slice(packageName.indexOf("/") + 1).replaceAll(/[._]/g, "-");
  const words = bare.split("-").filter((word) => !["", "godwit", "plugin"].includes(word));
  return words.join("-");
}

/** The last part of a package's name: where it is made by default. */
export function folderOf(packageName: string): string {
  return packageName.slice(packageName.indexOf("/") + 1);
}

/** `DEVICE_INVALID`, `NAME_INVALID`. */
export function namesOf(packageName: string, device = deviceOf(packageName)): Names {
  checkPackageName(packageName);
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(device) || device.length > longestDevice) {
    throw new CreateError(
      "DEVICE_INVALID",
      `"${device}" cannot be the device's name: lower-case words of letters and digits with "-" between them are, ` +
        `such as tod or wall-clock, a letter first and ${longestDevice} characters at most; give one with --device`,
    );
  }
  if (takenDevices.includes(device)) {
    throw new CreateError(
      "DEVICE_INVALID",
      `"${device}" is taken, in every machine, in dumps or in the tests; use --device`,
    );
  }
  const pascal = device.replaceAll(/(?:^|-)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return { packageName, device, camel: device[0] + pascal.slice(1), pascal };
}
