// Edits as they are written on the command line.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { JsonValue } from "@godwit/core/tools";
import { CliFault } from "../faults.ts";
import type { VerbOptions } from "../verb.ts";
import { commandOf } from "./commands.ts";
import type { Edit } from "./edit.ts";

/** What `--set`, `--drop` and their like ask for, in the order of a stream's making. `folder`: what `@file` begins at. */
export function editsOf(options: VerbOptions, folder: string): Edit[] {
  const list = (name: string): readonly string[] => (options[name] as readonly string[] | undefined) ?? [];
  const name = options["renameMachine"] as string | undefined;
  return [
    ...(name === undefined ? [] : [machineEdit(name)]),
    ...list("dropCommand").map((text): Edit => ({ kind: "drop-command", command: commandOf(text) })),
    ...list("drop").map(dropEdit),
    ...list("addSubsection").map((text) => addEdit(text, folder)),
    ...list("set").map((text) => setEdit(text, folder)),
  ];
}

/** What a configuration section may hold. Bytes. */
const nameBound = 4096;

function machineEdit(name: string): Edit {
  if (name !== "" && Buffer.byteLength(name) <= nameBound && Buffer.from(name).toString() === name)
    return { kind: "machine", name };
  throw new CliFault("EDIT_SYNTAX", `--rename-machine: "${name}" is no machine's name`, { exit: 2 });
}

function dropEdit(text: string): Edit {
  const at = text.indexOf("#");
  if (at < 0) return { kind: "drop-section", section: text };
  return { kind: "drop-subsection", section: text.slice(0, at), subsection: text.slice(at + 1) };
}

function addEdit(text: string, folder: string): Edit {
  const { section, name, value } = assignment(text, "--add-subsection", "SECTION#NAME=JSON");
  return { kind: "add-subsection", section, subsection: name, values: jsonOf(value, folder, "--add-subsection") };
}

function setEdit(text: string, folder: string): Edit {
  const { section, name, value } = assignment(text, "--set", "SECTION#PATH=VALUE");
  return { kind: "set", section, path: name, value: parsedValue(value, folder) };
}

function assignment(text: string, option: string, form: string): { section: string; name: string; value: string } {
  const [, section = "", name = "", value = ""] = /^([^#]+)#([^=]+)=(.*)$/s.exec(text) ?? [];
  if (section === "") throw new CliFault("EDIT_SYNTAX", `${option}: "${text}" is not ${form}`, { exit: 2 });
  return { section, name, value };
}

/** An integer, `true`, `false`, `null`, `base64:`, `hex:`, `@file` with JSON, or JSON. Exit 2 for what is none of these. */
export function parsedValue(text: string, folder: string): JsonValue {
  if (/^-?(\d+|0x[0-9a-f]+)$/i.test(text)) return integerOf(text);
  if (text.startsWith("hex:")) return hexOf(text.slice(4));
  if (text.startsWith("base64:")) return base64Of(text.slice(7));
  return jsonOf(text, folder, "--set");
}

/** A number where that holds it, else the decimal string that stands for 64 bits. */
function integerOf(text: string): JsonValue {
  const isNegative = text.startsWith("-");
  const magnitude = BigInt(isNegative ? text.slice(1) : text);
  const value = isNegative ? -magnitude : magnitude;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

function hexOf(digits: string): string {
  if (/^([0-9a-f]{2})*$/i.test(digits)) return Buffer.from(digits, "hex").toString("base64");
  throw new CliFault("EDIT_VALUE", `hex:${digits} is not pairs of hexadecimal digits`, { exit: 2 });
}

function base64Of(text: string): string {
  if (Buffer.from(text, "base64").toString("base64") === text) return text;
  throw new CliFault("EDIT_VALUE", `base64:${text} is no base64`, { exit: 2 });
}

function jsonOf(text: string, folder: string, option: string): JsonValue {
  const json = text.startsWith("@") ? fileText(resolve(folder, text.slice(1)), option) : text;
  let value: JsonValue;
  try {
    value = JSON.parse(json) as JsonValue;
  } catch (cause) {
    throw new CliFault("EDIT_VALUE", `${option}: ${text} is no value`, {
      exit: 2,
      hint: "an integer, true, false, base64:..., hex:..., or JSON (a text in quotes)",
      cause,
    });
  }
  checkIntegers(value, option);
  return value;
}

function fileText(path: string, option: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new CliFault("INPUT_UNREADABLE", `${option}: ${path} cannot be read`, { exit: 2, cause });
  }
}

/** JSON's numbers lose the low bits of what has 64. */
function checkIntegers(value: JsonValue, option: string): void {
  if (typeof value === "object" && value !== null)
    for (const one of Object.values(value)) checkIntegers(one as JsonValue, option);
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return;
  throw new CliFault("EDIT_VALUE", `${option}: ${value} is more than a number in JSON holds exactly`, {
    exit: 2,
    hint: `write it as a decimal string: "${BigInt(value)}"`,
  });
}
