// The byte in front of every element, and behind the last one.
import { MigrationError, u8 } from "@godwit/core";

export const marker = u8;
export const more = 1;
export const end = 0;

/** True: an element follows. Anything but the two markers is `FIELD_CUSTOM`: QEMU writes no other. */
export function follows(byte: unknown): boolean {
  if (byte === more) return true;
  if (byte === end) return false;
  throw new MigrationError("FIELD_CUSTOM", "neither the marker of an element nor that of the list's end", {
    expected: "0x01 or 0x00",
    found: `0x${(byte as number).toString(16).padStart(2, "0")}`,
  });
}

/** Refuses what is no array before it is walked. */
export function asArray<T>(value: readonly T[], kind: string): readonly T[] {
  if (Array.isArray(value)) return value;
  throw new MigrationError("FIELD_CUSTOM", `the value of a ${kind} is an array`, { found: typeof value });
}
