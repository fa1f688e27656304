import { isMigrationError } from "@godwit/core";
import { machine } from "./devices.ts";

// #region refused
const source = machine();
source.drive.ring = 0x8040; // and the remapper has no such window
const destination = machine();
destination.remapper.window = 0x8000; // what it has now does not count
try {
  await destination.kernel.load(source.kernel.save());
} catch (error) {
  if (!isMigrationError(error)) throw error;
  const { code, location, found } = error;
  console.log(`${code} in ${location.section}, field ${location.path}, found ${found}`);
}
console.log(`remapper ${destination.remapper.window.toString(16)}, ring ${destination.drive.ring}`);
// #endregion
