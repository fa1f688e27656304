// A stream of another machine, or of this one configured otherwise, is refused for what differs.
import { MigrationError } from "../errors.ts";
import type { Configuration } from "../stream/configuration.ts";

type Mismatch = "MACHINE_MISMATCH" | "CONFIGURATION_MISMATCH" | "CAPABILITY_MISMATCH";

/** `offset` is where the configuration section begins. */
export function refuseOther(found: Configuration, own: Configuration, offset: number): void {
  const refuse = (code: Mismatch, path: string, expected: unknown, got: unknown): never => {
    throw new MigrationError(code, "source and destination are configured differently", {
      side: "destination",
      section: "configuration",
      path,
      // Behind the type byte and the length stands the name; the rest may stand anywhere behind it.
      offset: path === "name" ? offset + 5 : offset,
      expected: String(expected),
      found: String(got),
    });
  };
  if (found.machineType !== own.machineType) refuse("MACHINE_MISMATCH", "name", own.machineType, found.machineType);
  if (found.pageBits !== own.pageBits)
    refuse("CONFIGURATION_MISMATCH", "targetPageBits.page_bits", own.pageBits, found.pageBits);
  const [mine, theirs] = [own.capabilities.toSorted().join(" "), found.capabilities.toSorted().join(" ")];
  if (mine !== theirs) refuse("CAPABILITY_MISMATCH", "capabilities", mine || "none", theirs || "none");
  if (own.uuid !== undefined && found.uuid !== undefined && own.uuid.some((byte, i) => byte !== found.uuid?.[i])) {
    refuse("CONFIGURATION_MISMATCH", "uuid.uuid", own.uuid, found.uuid);
  }
}
