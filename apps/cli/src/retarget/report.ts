// A plan in sentences, and as the JSON document of `--json`.
import type { Loss } from "../edit/edit.ts";
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
  for (const edit of edits) {
    const { kind, ...rest } = edit;
    yield `edit: ${kind} ${Object.values(rest).map(textOf).join(" ")}`;
  }
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

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

function refusalText({ section, register, found, destination, why }: Refusal): string {
  const where = [section, register?.name].filter((one) => one !== undefined).join(": ");
  return `${where}${where === "" ? "" : ": "}${found} in the stream, ${destination} at the destination: ${why}`;
}

function lossText({ section, path, value, absent, safe }: Loss): string {
  const instead =
    absent === undefined ? "nobody tells what the destination takes instead" : `absent is ${textOf(absent)}`;
  return `${section}#${path} = ${textOf(value)}; ${safe ? "that is what the destination takes anyway" : instead}`;
}
