// What somebody else's description throws is a fault of that description, and no bug of this program.
import { isMigrationError, MigrationError } from "@godwit/core";

/** Runs what calls a description. `DEVICE_FAILED` where one that was brought along throws what is no `MigrationError`. */
export function ofPlugin<T>(plugin: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (isMigrationError(cause) || plugin.startsWith("@godwit/")) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MigrationError("DEVICE_FAILED", `the description that ${plugin} brings threw: ${why}`, { cause });
  }
}
