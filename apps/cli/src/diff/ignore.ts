// What `--ignore` names is not compared. It is counted, so that nobody takes an empty result for more than it is.
import { globMatcher } from "../model/glob.ts";

export interface Ignoring {
  /** A section as `idstr/instance`, or a word for the stream's own things: `ram`, `order`, `commands`, `machineType`. */
  section(key: string): boolean;
  /** A field or subsection of a section; a RAM block as `ram#idstr`. */
  field(key: string, path: string): boolean;
}

export function ignoring(globs: readonly string[]): Ignoring {
  const whole = globs.filter((glob) => !glob.includes("#")).map(globMatcher);
  const parts = globs.filter((glob) => glob.includes("#")).map(globMatcher);
  const names = (key: string): string[] => (/\/\d+$/.test(key) ? [key, key.replace(/\/\d+$/, "")] : [key]);
  return {
    section: (key) => names(key).some((name) => whole.some((matches) => matches(name))),
    field: (key, path) => names(key).some((name) => parts.some((matches) => matches(`${name}#${path}`))),
  };
}
