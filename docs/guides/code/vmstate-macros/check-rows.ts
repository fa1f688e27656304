// Every row is tried: the value gives these bytes, the bytes give the value, and the field is the code that is shown.
import { readFileSync } from "node:fs";
import { decodeState, encodeState, type Field, sameValue, u8, u16, u32, vmstate } from "@godwit/core";
import type { Row } from "./row.ts";
import { groups } from "./rows.ts";

const counters: Readonly<Record<string, Field>> = { n8: u8, n16: u16, n32: u32 };

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function checkRow({ macros, field, before = {}, value, bytes }: Row): void {
  const isPadding = "padding" in field;
  const earlier = Object.fromEntries(Object.keys(before).map((key) => [key, counters[key] as Field]));
  // Version 2: what comes from it on is there.
  const description = vmstate({
    name: "row",
    version: 2,
    fields: { ...earlier, [isPadding ? "_value" : "value"]: field },
  });
  const state = isPadding ? before : { ...before, value };
  const written = encodeState(description, state as never);
  const skipped = encodeState(vmstate({ name: "row", version: 2, fields: earlier }), before as never).length;
  const found = hex(written.subarray(skipped));
  if (found !== bytes) throw new Error(`${macros[0]}: ${found} instead of ${bytes}`);
  if (!sameValue(decodeState(description, written), state)) throw new Error(`${macros[0]}: not read as it was written`);
}

/** The code of each row's `field`, in order, as it stands in rows.ts. */
function codeOfFields(): string[] {
  const source = readFileSync(new URL("rows.ts", import.meta.url), "utf8");
  const found = source.matchAll(/, field: (\w+), value:|\n +field: ([\s\S]*?),\n +(?:value|bytes|before):/g);
  return Array.from(found, ([, short, long]) => (short ?? (long as string)).replace(/\["(\w+)"\]/g, ".$1"));
}

export function checkRows(): number {
  const rows = Object.values(groups).flat();
  const code = codeOfFields();
  for (const [index, row] of rows.entries()) {
    if (code[index] !== row.says) throw new Error(`${row.macros[0]}: the field is ${code[index]}, not ${row.says}`);
    checkRow(row);
  }
  return rows.flatMap(({ macros }) => macros).length;
}
