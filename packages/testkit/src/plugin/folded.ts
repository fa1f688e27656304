// How a golden file writes what repeats itself: tables of a thousand queues, of which two are in use, stay readable.
import type { JsonValue } from "@godwit/core/tools";

/** As `{ "$times": 1021, "value": ... }`: so many neighbours of an array that are equal, where they are four or more. */
interface Run {
  readonly $times: number;
  readonly value: JsonValue;
}

const leastNeighbours = 4;
/** Bytes. */
const leastRun = 16;
/** What a file may unfold to: no section of a device is near it. Elements, or bytes. */
const most = 1 << 24;

export function folded(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (!Array.isArray(value)) return mapped(value as Record<string, JsonValue>, folded);
  const runs: { text: string; value: JsonValue; times: number }[] = [];
  for (const one of value as readonly JsonValue[]) {
    const inner = folded(one);
    const text = JSON.stringify(inner);
    const last = runs.at(-1);
    if (last?.text === text) last.times++;
    else runs.push({ text, value: inner, times: 1 });
  }
  return runs.flatMap(({ value: one, times }): JsonValue[] =>
    times < leastNeighbours ? new Array<JsonValue>(times).fill(one) : [{ $times: times, value: one }],
  );
}

export function unfolded(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (!Array.isArray(value)) return mapped(value as Record<string, JsonValue>, unfolded);
  return (value as readonly JsonValue[]).flatMap((one): JsonValue[] => {
    if (!isRun(one)) return [unfolded(one)];
    if (!Number.isInteger(one.$times) || one.$times < 1 || one.$times > most) throw new Error("$times is no count");
    const inner = unfolded(one.value);
    return Array.from({ length: one.$times }, () => inner);
  });
}

const isRun = (value: JsonValue): value is JsonValue & Run =>
  typeof value === "object" && value !== null && "$times" in value;

function mapped(value: Record<string, JsonValue>, each: (one: JsonValue) => JsonValue): Record<string, JsonValue> {
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, each(one)]));
}

/** Hexadecimal digits; sixteen equal bytes or more are `(00*16)`. */
export function foldedHex(hex: string): string {
  const pairs = hex.match(/../g) ?? [];
  let text = "";
  for (let from = 0, to = 0; from < pairs.length; from = to) {
    while (to < pairs.length && pairs[to] === pairs[from]) to++;
    text += to - from < leastRun ? pairs.slice(from, to).join("") : `(${pairs[from]}*${to - from})`;
  }
  return text;
}

export function unfoldedHex(text: string): string {
  return text.replace(/\(([0-9a-f]{2})\*(\d{1,8})\)/g, (_, pair: string, times: string) => {
    if (Number(times) > most) throw new Error(`no section has ${times} equal bytes`);
    return pair.repeat(Number(times));
  });
}
