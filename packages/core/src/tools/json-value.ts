// Values as JSON: 64-bit integers as decimal strings, bytes as base64, other typed arrays as arrays.
import { joinPath, MigrationError } from "../errors.ts";
import { fromBase64, toBase64 } from "./base64.ts";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/**
 * Any value of a record or a state: a `bigint` becomes its decimal string, a `Uint8Array` base64, other typed arrays and
 * arrays become arrays; members that are undefined are left out. What is no data is `BITS_RANGE` with its path. JSON alone
 * does not tell a string from a 64-bit integer: for the way back, `recordToJson` and `recordFromJson` know the description.
 */
export function valueToJson(value: unknown): JsonValue {
  return toJson(value, plainly);
}

/** How what JSON lacks is spelled. */
interface Spelling {
  readonly bigint: (value: bigint) => JsonValue;
  readonly bytes: (value: Uint8Array) => JsonValue;
  /** A typed array of any other kind. */
  readonly typed: (kind: string, elements: readonly JsonValue[]) => JsonValue;
}

const plainly: Spelling = { bigint: String, bytes: toBase64, typed: (_, elements) => elements };

const arraysByName = {
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  BigUint64Array,
  BigInt64Array,
} as const;

type ArrayName = keyof typeof arraysByName;

function toJson(value: unknown, spelling: Spelling, path?: string, depth = 0): JsonValue {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "bigint") return spelling.bigint(value);
  if (value instanceof Ready) return value.json;
  if (typeof value !== "object" || depth > deepest) throw noData(value, path);
  const inside = (one: unknown, key: string): JsonValue => toJson(one, spelling, joinPath(path, key), depth + 1);
  if (value instanceof Uint8Array) return spelling.bytes(value);
  if (ArrayBuffer.isView(value)) {
    const kind = value.constructor.name;
    if (!Object.hasOwn(arraysByName, kind)) throw noData(value, path);
    return spelling.typed(
      kind,
      Array.from(value as unknown as ArrayLike<unknown>, (one, i) => inside(one, `[${i}]`)),
    );
  }
  if (Array.isArray(value)) return value.map((one, i) => inside(one, `[${i}]`));
  const members = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(members.map(([key, one]) => [key, inside(one, key)]));
}

/** Deeper than any state is: a cycle. */
const deepest = 256;

function noData(value: unknown, path: string | undefined): MigrationError {
  const found = Object(value) === value ? typeof value : String(value);
  return new MigrationError("BITS_RANGE", "not what is described", { path, expected: "plain data", found });
}

/** A part that is JSON already, inside of a value that is not. */
export class Ready {
  readonly json: JsonValue;
  constructor(json: JsonValue) {
    this.json = json;
  }
}

const bigintTag = "$bigint";
const bytesTag = "$bytes";

const tagged: Spelling = {
  bigint: (value) => ({ [bigintTag]: String(value) }),
  bytes: (value) => ({ [bytesTag]: toBase64(value) }),
  typed: (kind, elements) => ({ [`$${kind}`]: elements }),
};

/**
 * A value that no field describes, so that it can be read back: a `bigint` is `{"$bigint": "1"}`, bytes are
 * `{"$bytes": base64}`, another typed array is `{"$Uint32Array": [...]}`. What is `Ready` stays.
 */
export function toTaggedJson(value: unknown): JsonValue {
  return toJson(value, tagged);
}

/**
 * The inverse of `toTaggedJson`; what holds no tag stays as it is. `BITS_RANGE` for an element that its typed array cannot
 * hold, and for what nests deeper than any value does.
 */
export function fromTaggedJson(json: unknown): unknown {
  return revive(json, 0);
}

function revive(json: unknown, depth: number): unknown {
  if (typeof json !== "object" || json === null || ArrayBuffer.isView(json)) return json;
  if (depth > deepest) throw noData(json, undefined);
  if (Array.isArray(json)) return json.map((one) => revive(one, depth + 1));
  const entries = Object.entries(json);
  const [key, value] = entries[0] ?? [];
  if (entries.length === 1 && key?.startsWith("$")) {
    const revived = fromTag(key, value, depth);
    if (revived !== undefined) return revived;
  }
  return Object.fromEntries(entries.map(([name, one]) => [name, revive(one, depth + 1)]));
}

function fromTag(key: string, value: unknown, depth: number): unknown {
  if (key === bigintTag) return integerOf(value);
  if (key === bytesTag) return typeof value === "string" ? fromBase64(value) : undefined;
  const kind = key.slice(1);
  if (!Object.hasOwn(arraysByName, kind) || !Array.isArray(value)) return undefined;
  return typedArrayFrom(
    kind as ArrayName,
    value.map((one) => revive(one, depth + 1)),
  );
}

/** A typed array would cut off what it cannot hold, and say nothing. */
function typedArrayFrom(kind: ArrayName, elements: readonly unknown[]): unknown {
  const typed = new arraysByName[kind](elements.length);
  const type = kind.startsWith("Big") ? "bigint" : "number";
  for (const [i, one] of elements.entries()) {
    // biome-ignore lint/suspicious/noExplicitAny: which of the seven it is, the tag says
    if (typeof one === type) typed[i] = one as any;
    if (typed[i] === one) continue;
    const detail = "not an element of this array";
    throw new MigrationError("BITS_RANGE", detail, { path: `[${i}]`, expected: kind, found: String(one) });
  }
  return typed;
}

/** Longer than any integer that is meant: to read millions of digits takes minutes. */
const mostDigits = 1000;

/** An integer of JSON: a decimal string, `0x` and hexadecimal digits, or a safe integer; else undefined. */
export function integerOf(json: unknown): bigint | undefined {
  if (typeof json === "bigint") return json;
  if (typeof json === "number") return Number.isSafeInteger(json) ? BigInt(json) : undefined;
  if (typeof json !== "string" || json.length > mostDigits) return undefined;
  return /^-?\d+$|^0x[\da-f]+$/i.test(json) ? BigInt(json) : undefined;
}
