// Sizes as people write them: 4096, 64K, 1.5G.
import { CliFault } from "../faults.ts";

const units: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Bytes. Exit 2 where `text` is no size. */
export function sizeOf(text: string, option: string): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(digits) * (units[unit.toUpperCase()] ?? Number.NaN));
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new CliFault("OPTION_SIZE", `${option}: "${text}" is no size`, { exit: 2, hint: "such as 4096, 64K, 64M, 1G" });
}

/** `24 B`, `4.1 kB`, `58.3 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const names = ["kB", "MB", "GB", "TB"];
  let value = bytes / 1000;
  let at = 0;
  for (; value >= 999.95 && at < names.length - 1; at++) value /= 1000;
  return `${value.toFixed(1)} ${names[at]}`;
}
