// What was edited, in sentences.
import { sizeText } from "../io/size.ts";
import type { EditReport } from "./apply.ts";
import type { EditDone } from "./plan.ts";

export function* reportLines({ done, notes, bytes }: EditReport, name: string, written: boolean): Generator<string> {
  for (const one of done) yield lineOf(one);
  for (const note of notes) yield `note: ${note}`;
  if (done.length === 0) yield "nothing was edited";
  yield written ? `${name}: ${sizeText(bytes)}` : `nothing was written; it would be ${sizeText(bytes)}`;
}

const columns = 120;
/** Of a value, however long the rest of its line is. */
const leastColumns = 24;
const arrow = " -> ";

function lineOf({ kind, section, path, before, after, offset }: EditDone): string {
  const place = section === undefined ? path : path === undefined ? section : `${section}#${path}`;
  const what = `byte ${offset}: ${kind} ${place}`;
  if (before === undefined && after === undefined) return what;
  if (kind === "drop-section" || kind === "drop-command")
    return `${what}: ${Buffer.from(String(before), "base64").length} bytes`;
  const left = columns - what.length - ": ".length;
  if (before === undefined) return `${what}: ${shown(after, left)}`;
  if (after === undefined) return `${what}: was ${shown(before, left - "was ".length)}`;
  const each = Math.floor((left - arrow.length) / 2);
  return `${what}: ${shown(before, each)}${arrow}${shown(after, each)}`;
}

/** Enough of a value to see what it is; --json has all of it. */
function shown(value: unknown, wanted: number): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const bound = Math.max(leastColumns, wanted);
  return text.length <= bound ? text : `${text.slice(0, bound - 3)}...`;
}
