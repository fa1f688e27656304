// Which states are wrong, though each of their fields is possible. Asked before anything of the machine is touched.
import { MigrationError } from "@godwit/core";
import type { __Device__State } from "./description.ts";

/** `DEVICE_CHECK` where a periodic alarm has no next time: it would never ring again, and no guest can bring that about. */
export function check({ period, alarm }: __Device__State): void {
  if (period === 0 || alarm !== null) return;
  throw new MigrationError("DEVICE_CHECK", "a periodic alarm is not armed", {
    path: "alarm",
    expected: `a deadline, for the period is ${period} s`,
    found: "none",
  });
}
