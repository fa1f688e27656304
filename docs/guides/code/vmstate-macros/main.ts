// Tries every row and sees that the guide's tables are theirs. `--write` puts them there.
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { checkRows } from "./check-rows.ts";
import { checkMembers } from "./members.ts";
import { tables } from "./tables.ts";

await import("./example.ts");
console.log(`${checkRows()} macros, ${await checkMembers()} members and registrations tried`);

const guide = new URL("../../vmstate-macros.md", import.meta.url);
/** Formatters align columns. */
const plain = (text: string): string => text.replace(/ +/g, " ").replace(/-{3,}/g, "---");
const before = readFileSync(guide, "utf8");
const shown = new Set<string>();
const after = before.replace(
  /(<!-- table (\w+) -->\n\n)([\s\S]*?)(?=\n\n|$)/g,
  (_, head: string, name: string, old: string) => {
    const table = tables[name];
    if (table === undefined) throw new Error(`there is no table ${name}`);
    shown.add(name);
    return head + (plain(old) === plain(table) ? old : table);
  },
);
for (const name of Object.keys(tables)) if (!shown.has(name)) throw new Error(`the guide lacks the table ${name}`);
if (process.argv.includes("--write")) writeFileSync(guide, after);
else if (after !== before) throw new Error("the guide's tables are old: run this file with --write");
