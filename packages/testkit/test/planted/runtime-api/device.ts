// What a scan must find, and what it must leave: this file runs nowhere.
import { readFileSync } from "node:fs";

export { join } from "node:path";

export const bootedAt = performance.now();
export const text = (name: string): string => readFileSync(name, "utf8");
export const home = process.env["HOME"];

/** None of these is a runtime's. */
export function harmless(process: { readonly env: string }, { Buffer }: { Buffer: string }): string {
  const setTimeout = process.env;
  const table = { fetch: Buffer, document: 1 };
  for (const console of [1]) {
    if (console > 0) break;
  }
  return `${setTimeout}${table.fetch}${table.document}`;
}
