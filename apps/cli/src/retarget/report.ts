// A plan in sentences.
import { commands } from "@godwit/core/stream";
import type { Edit, Loss } from "../edit/edit.ts";
import type { Refusal, RetargetPlan } from "./types.ts";

/** Whether the stream may be edited by it. Force accepts losses, never a refusal. */
export function isAllowed({ refusals, losses }: RetargetPlan, force: boolean): boolean {
  return refusals.length === 0 && (force || losses.every(({ safe }) => safe));
}

/** One line each, the gravest first; indented lines belong to the one before. */
export function* planLines(plan: RetargetPlan): Generator<string> {
  const { machine, refusals, losses, edits, options, notes } = plan;
  yield `${machine.source} -> ${machine.destination}`;
  for (const refusal of refusals) yield `refused: ${refusalText(refusal)}`;
  for (const loss of losses) yield `${loss.safe ? "lost, safely" : "lost"}: ${lossText(loss)}`;
  for (const edit of edits) yield `edit: ${editText(edit)}`;
  if (options.length > 0) yield "the destination must be started with (as far as the stream shows it):";
  for (const { text, properties } of options) {
    yield `  ${text}`;
    const other = properties.filter(({ instead }) => instead !== undefined);
    if (other.length > 0) {
      yield `    if nothing is said, ${machine.destination} has ${other.map(({ name, instead }) => `${name}=${instead}`).join(", ")}`;
    }
  }
  for (const note of notes) yield `note: ${note}`;
}

function editText(edit: Edit): string {
  switch (edit.kind) {
    case "machine":
      return `the machine type's name becomes ${edit.name}`;
    case "drop-command": {
      const name = commands[edit.command]?.name ?? "";
      return `the command ${name} (0x${edit.command.toString(16)}) is left out`;
    }
    case "drop-section":
      return `${edit.section} is left out`;
    case "drop-subsection":
      return `${edit.section}: its subsection ${edit.subsection} is left out`;
    case "version":
      return `${edit.section}: its version becomes ${edit.version}`;
    case "set":
      return `${edit.section}#${edit.path} becomes ${textOf(edit.value)}`;
    case "add-subsection":
      return `${edit.section}: a subsection ${edit.subsection} is added`;
  }
}

/** More of a buffer says nothing to who reads it; `--json` has it whole. Characters. */
const mostShown = 60;

function textOf(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > mostShown ? `${text.slice(0, mostShown)}... (${text.length} characters)` : text;
}

function refusalText({ section, register, found, destination, why }: Refusal): string {
  const where = [section, register?.name].filter((one) => one !== undefined).join(": ");
  return `${where}${where === "" ? "" : ": "}${found} in the stream, ${destination} at the destination: ${why}`;
}

function lossText({ section, path, value, absent, safe }: Loss): string {
  const instead =
    absent === undefined ? "nobody tells what the destination takes instead" : `absent is ${textOf(absent)}`;
  const place = path === "" ? section : `${section}#${path}`;
  return `${place} = ${textOf(value)}; ${safe ? "that is what the destination takes anyway" : instead}`;
}
