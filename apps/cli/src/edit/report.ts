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

function lineOf({ kind, section, path, before, after, offset }: EditDone): string {
  const place = section === undefined ? path : path === undefined ? section : `${section}#${path}`;
  const values = [before, after].map((value) => (value === undefined ? "" : shown(value)));
  const change =
    after === undefined
      ? before === undefined
        ? ""
        : `: was ${values[0]}`
      : `: ${values[0]}${before === undefined ? "" : " -> "}${values[1]}`;
  return `byte ${offset}: ${kind} ${place}${change}`;
}

/** Enough of a value to see what it is; --json has all of it. */
function shown(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
