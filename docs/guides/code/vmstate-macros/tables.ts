// The guide's tables, made of the rows that were tried.
import { descriptions, type Member, registrations } from "./members.ts";
import type { Row } from "./row.ts";
import { groups } from "./rows.ts";

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}

function shown(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "bigint") return `${value}n`;
  if (value === null) return "null";
  if (ArrayBuffer.isView(value)) return `[${Array.from(value as unknown as ArrayLike<number>).join(", ")}]`;
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  if (typeof value === "object") {
    return `{ ${Object.entries(value)
      .map(([key, one]) => `${key}: ${shown(one)}`)
      .join(", ")} }`;
  }
  return String(value);
}

const code = (text: string): string => (text === "" ? "" : `\`${text}\``);
const pairs = (hex: string): string => (hex.match(/../g) ?? []).join(" ");

function ofRows(rows: readonly Row[]): string {
  return table(
    ["QEMU", "Godwit", "wire", "value", "its bytes"],
    rows.map(({ macros, says, wire, value, bytes }) => [
      macros.map(code).join(" "),
      code(says),
      wire,
      code(shown(value)),
      code(pairs(bytes)),
    ]),
  );
}

const ofMembers = (members: readonly Member[]): string =>
  table(
    ["QEMU", "Godwit", "remark"],
    members.map(({ qemu, godwit, remark }) => [qemu, godwit, remark]),
  );

/** By the name in the guide's comment `<!-- table NAME -->`. */
export const tables: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(groups).map(([name, rows]) => [name, ofRows(rows)])),
  descriptions: ofMembers(descriptions),
  registrations: ofMembers(registrations),
};
