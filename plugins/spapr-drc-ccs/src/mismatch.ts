// The error of this package: a walk that cannot go on in the destination's tree.
import { MigrationError } from "@godwit/core";

/** Codes beside those of core. They are API: a code keeps its meaning for ever. */
export const spaprErrorCodes = {
  "ccs-fdt-mismatch": "a walk of a connector's device tree cannot go on in the tree that is here",
} as const;

export function ccsMismatch(why: string, path: string, expected: string, found: string): MigrationError {
  const code: keyof typeof spaprErrorCodes = "ccs-fdt-mismatch";
  return new MigrationError(code, `${spaprErrorCodes[code]}: ${why}`, { path, expected, found });
}
