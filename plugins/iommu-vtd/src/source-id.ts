// Source ids: the 16 bits by which the tables know a device.
import { MigrationError } from "@godwit/core";

/** The source id of `bus:device.function` in hexadecimal (a PCI segment in front of it is 0), or of a number. */
export function sourceIdOf(bdf: number | string): number {
  if (typeof bdf === "number") {
    if (Number.isInteger(bdf) && bdf >= 0 && bdf <= 0xffff) return bdf;
  } else {
    const parts = /^(?:0000:)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i.exec(bdf);
    if (parts !== null) {
      return (Number.parseInt(parts[1] ?? "", 16) << 8) | (Number.parseInt(parts[2] ?? "", 16) << 3) | Number(parts[3]);
    }
  }
  throw new MigrationError("DEFINITION_INVALID", "not a PCI device's address", {
    side: "define",
    expected: "bus:device.function, such as 00:02.0, or 16 bits",
    found: String(bdf),
  });
}

/** `bus:device.function`. */
export function formatSourceId(sourceId: number): string {
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  return `${hex(sourceId >>> 8)}:${hex((sourceId >>> 3) & 0x1f)}.${sourceId & 7}`;
}
