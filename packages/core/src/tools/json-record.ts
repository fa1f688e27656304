// Wire records and states as JSON and back, by their description: what a value is in JSON its field says, not its looks.
import { isMigrationError, MigrationError } from "../errors.ts";
import { bodyOf } from "../vmstate/compile.ts";
import { typedArrayOf } from "../vmstate/nodes/int.ts";
import type { CustomSpec, IntSpec, Spec } from "../vmstate/spec.ts";
import type { AnyRecord, Description, Field, Scope, StateOf, Subsection, WireRecord } from "../vmstate/types.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import { fromTaggedJson, integerOf, type JsonObject, type JsonValue, Ready, toTaggedJson } from "./json-value.ts";

/**
 * A wire record as JSON, without loss: `recordFromJson` gives it back, and it encodes to the same bytes.
 *
 * An object of the record's keys in their order, `$version` and padding included. Integers of up to 32 bits are numbers; those
 * of 64 bits, timers and the bits of doubles decimal strings, also where the record holds a safe number or a pair (a timer
 * that is not pending is null); buffers, bitmaps and arrays of u8 base64; other arrays arrays. In a field of a kind from
 * outside core, what no field describes is tagged where JSON has no word for it: `{"$bigint": "1"}`, `{"$bytes": base64}`,
 * `{"$Uint32Array": [1]}`.
 */
export function recordToJson(description: Description, record: WireRecord): JsonObject {
  return new Conversion(false, true).body(description, record, undefined, versionOf(description, record)) as JsonObject;
}

/**
 * The wire record of its JSON. Integers may also be `0x...`, 64-bit ones also safe numbers, arrays of u8 also arrays. What does
 * not fit its field is `BITS_RANGE`, with its path, and so is a key that the description does not have; what a custom
 * kind refuses is `FIELD_CUSTOM`. Whether the record is complete, `encodeRecord` says.
 */
export function recordFromJson(description: Description, json: JsonValue): WireRecord {
  const version = (json as JsonObject | null)?.["$version"];
  const own = typeof version === "number" ? version : description.version;
  return new Conversion(false, false).body(description, json, undefined, own) as WireRecord;
}

/** A state as JSON: the same form, complete, without `$version` and padding. */
export function stateToJson<D extends Description>(description: D, state: StateOf<D>): JsonObject {
  return new Conversion(true, true).body(description, state, undefined, description.version) as JsonObject;
}

/** The state of its JSON. `FIELD_MISSING` where it is not complete; else as `recordFromJson`. */
export function stateFromJson<D extends Description>(description: D, json: JsonValue): StateOf<D> {
  return new Conversion(true, false).body(description, json, undefined, description.version) as StateOf<D>;
}

function versionOf(description: Description, record: WireRecord): number {
  const { $version: version } = record;
  return typeof version === "number" ? version : description.version;
}

class Conversion {
  /** Of states, or of wire records. */
  readonly #state: boolean;
  /** To JSON, or from it. */
  readonly #out: boolean;

  constructor(state: boolean, out: boolean) {
    this.#state = state;
    this.#out = out;
  }

  body(description: Description, from: unknown, parent: Scope | undefined, version: number): AnyRecord {
    if (typeof from !== "object" || from === null || Array.isArray(from) || ArrayBuffer.isView(from)) {
      throw unfit(`the fields of "${description.name}"`, from);
    }
    const { fields, subsections } = description;
    const into: Record<string, unknown> = {};
    // What counts and custom kinds look at is the record, which on the way from JSON is the one that is made here.
    const record = (this.#out ? from : into) as WireRecord;
    const scope = this.#state ? { record, parent, version } : bodyOf(description).scopeOf(record, parent, version);
    for (const key of Object.keys(fields)) {
      const value = this.#take(from as AnyRecord, key);
      if (value !== undefined) into[key] = this.#at(key, () => this.field(fields[key] as Field, value, scope));
      else if (this.#state && !key.startsWith("_")) throw missing(description, key);
    }
    const parts = this.#state
      ? Object.keys(subsections)
      : Object.keys(from).filter((key) => Object.hasOwn(subsections, key));
    for (const key of parts) {
      const value = this.#take(from as AnyRecord, key);
      if (value === undefined) throw missing(description, key);
      into[key] = this.#at(key, () => this.#part(subsections[key] as Subsection, value, scope));
    }
    if (!this.#out) this.#refuseOthers(description, from);
    const { $version } = from as WireRecord;
    if (this.#state || $version === undefined) return into;
    return { $version: this.#at("$version", () => integer(versionSpec, $version)), ...into };
  }

  #take(from: AnyRecord, key: string): unknown {
    return Object.hasOwn(from, key) && !(this.#state && key.startsWith("_")) ? from[key] : undefined;
  }

  #refuseOthers({ name, fields, subsections }: Description, from: object): void {
    for (const key of Object.keys(from)) {
      const isPadding = key.startsWith("_") || key === "$version";
      if (Object.hasOwn(fields, key) || Object.hasOwn(subsections, key)) {
        if (!(this.#state && isPadding)) continue;
      } else if (key === "$version" && !this.#state) continue;
      const known = [...Object.keys(fields), ...Object.keys(subsections)].join(", ");
      throw new MigrationError("BITS_RANGE", `"${name}" has no such field`, { path: key, expected: known, found: key });
    }
  }

  #part({ description }: Subsection, value: unknown, scope: Scope): AnyRecord {
    const version = (value as AnyRecord | null)?.["$version"];
    return this.body(description, value, scope, typeof version === "number" ? version : description.version);
  }

  #at<T>(path: string, convert: () => T): T {
    try {
      return convert();
    } catch (error) {
      throw isMigrationError(error) ? error.at({ path }) : error;
    }
  }

  field(field: Field, value: unknown, scope: Scope): unknown {
    const spec = field as Spec;
    switch (spec.kind) {
      case "named":
      case "checked":
        return this.field(spec.element, value, scope);
      case "condition":
        return spec.element === undefined ? value : this.field(spec.element, value, scope);
      case "int":
        return this.#int(spec, value);
      case "bool":
        return this.#bool(value);
      case "timer":
        return value === null ? null : this.#int(deadline, value);
      case "cpudouble":
        return this.#int(deadline, value);
      case "buffer":
      case "bitmap":
        return this.#bytes(value);
      case "struct":
        return this.body(spec.description, value, scope, spec.version ?? spec.description.version);
      case "tmp":
        return this.#state ? this.#opaque(value) : this.body(spec.description, value, scope, 0);
      case "array":
        return this.#array(spec.element, value, scope);
      case "pointers":
        return this.#list(value, (one, i) =>
          one === null && spec.isNull(i) ? null : this.field(spec.element, one, scope),
        );
      case "custom":
        return this.#custom(spec, value, scope);
    }
  }

  #int(spec: IntSpec, value: unknown): unknown {
    if (!this.#out) return spec.bytes < 8 ? integer(spec, value) : fromInteger(spec, value);
    return spec.bytes < 8 ? integer(spec, value) : String(toInteger(spec, value));
  }

  #bool(value: unknown): unknown {
    // A byte that is neither 0 nor 1 is kept in a record.
    if (typeof value === "boolean") return value;
    if (!this.#state && typeof value === "number" && value >= 2 && value <= 255 && value % 1 === 0) return value;
    throw unfit("bool", value);
  }

  #bytes(value: unknown): unknown {
    if (this.#out) {
      if (!isList(value)) throw unfit("bytes", value);
      return toBase64(value instanceof Uint8Array ? value : Uint8Array.from(value as ArrayLike<number>));
    }
    const bytes = typeof value === "string" ? fromBase64(value) : undefined;
    if (bytes === undefined) throw unfit("base64", value);
    return bytes;
  }

  #array(element: Field, value: unknown, scope: Scope): unknown {
    const spec = element as Spec;
    if (spec.kind !== "int") return this.#list(value, (one) => this.field(element, one, scope));
    if (spec.bytes === 1 && !spec.signed && (this.#out || typeof value === "string")) return this.#bytes(value);
    const elements = this.#list(value, (one) => this.#int(spec, one));
    const typed = this.#out ? undefined : typedArrayOf(spec);
    return typed === undefined ? elements : Object.assign(new typed(elements.length), elements);
  }

  #list(value: unknown, convert: (one: unknown, index: number) => unknown): unknown[] {
    if (!isList(value)) throw unfit("an array", value);
    return Array.from(value, (one, i) => this.#at(`[${i}]`, () => convert(one, i)));
  }

  #custom({ custom }: CustomSpec, value: unknown, scope: Scope): unknown {
    const { map, kind } = custom;
    if (map === undefined) return this.#opaque(value);
    try {
      if (!this.#out) return map(fromTaggedJson(value), (field, one) => this.field(field, one, scope), scope);
      const each = (field: Field, one: unknown) => ready(this.field(field, one, scope) as JsonValue);
      return toTaggedJson(map(value, each, scope));
    } catch (error) {
      if (isMigrationError(error)) throw error;
      throw new MigrationError("FIELD_CUSTOM", `not a value of ${kind}`, { expected: kind, cause: error });
    }
  }

  #opaque(value: unknown): unknown {
    return this.#out ? toTaggedJson(value) : fromTaggedJson(value);
  }
}

const versionSpec: IntSpec = { kind: "int", info: "a version", bytes: 4, signed: false, as: "number" };
const deadline: IntSpec = { kind: "int", info: "uint64", bytes: 8, signed: false, as: "bigint" };

/** A kind may put the members of what it is given beside others of its own: so each of them is ready by itself. */
function ready(json: JsonValue): unknown {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return new Ready(json);
  return Object.fromEntries(Object.entries(json).map(([key, one]) => [key, new Ready(one as JsonValue)]));
}

const isList = (value: unknown): value is ArrayLike<unknown> => Array.isArray(value) || ArrayBuffer.isView(value);

/** Of up to 32 bits, in a record or in JSON. */
function integer({ bytes, signed, info }: IntSpec, value: unknown): number {
  const span = 2 ** (8 * bytes);
  const low = signed ? -span / 2 : 0;
  const n = typeof value === "number" ? value : Number(integerOf(value) ?? Number.NaN);
  if (!(n >= low && n < low + span) || n % 1 !== 0) throw unfit(info, value);
  return n;
}

/** Of 64 bits, in a record. */
function toInteger({ as, signed, info }: IntSpec, value: unknown): bigint {
  if (as === "pair" && isList(value) && value.length === 2) {
    const [low, high] = Array.from(value, (half) => BigInt(integer({ ...versionSpec, info: "uint32" }, half)));
    const whole = ((high as bigint) << 32n) | (low as bigint);
    return signed ? BigInt.asIntN(64, whole) : whole;
  }
  if (as === "safe" && typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (as === "bigint" && typeof value === "bigint") return value;
  throw unfit(info, value);
}

/** Of 64 bits, from JSON to a record. */
function fromInteger(spec: IntSpec, json: unknown): unknown {
  const { as, signed, info } = spec;
  const value = integerOf(json);
  const fits = value !== undefined && (signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) === value;
  if (!fits) throw unfit(info, json);
  if (as === "bigint") return value;
  if (as === "pair") {
    const whole = BigInt.asUintN(64, value);
    return [Number(whole & 0xffff_ffffn), Number(whole >> 32n)];
  }
  const safe = Number(value);
  if (!Number.isSafeInteger(safe)) throw unfit(`a safe integer of ${info}`, json);
  return safe;
}

function missing({ name }: Description, key: string): MigrationError {
  return new MigrationError("FIELD_MISSING", `no "${key}" in the state of "${name}"`, { path: key });
}

function unfit(expected: string, value: unknown): MigrationError {
  return new MigrationError("BITS_RANGE", "not a value of this field", { expected, found: said(value) });
}

/** Of a value that does not fit, as much as a message needs. */
function said(value: unknown): string {
  if (isList(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > mostSaid ? `${text.slice(0, mostSaid)}...` : text;
}

const mostSaid = 60;
