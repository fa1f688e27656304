// The leaves of a section as a vmdesc names them: what their types mean, as values and as bytes. Source: wire reference 2.4.
import { MigrationError } from "../errors.ts";

/**
 * A scalar is a `number`, a `bigint` where it has 64 bits, a `boolean` (a byte that is neither 0 nor 1 stays a number), or
 * `null` for a timer that is not pending and for a null pointer. An array of integers is the typed array of its width, of
 * booleans a list. What has no type that is known here is its bytes, as `Uint8Array`.
 */
export type VmdescLeafValue = number | bigint | boolean | null | ArrayLike<number> | ArrayLike<bigint> | VmdescScalar[];
export type VmdescScalar = number | bigint | boolean | null;

/** A leaf: what the vmdesc does not take apart any more. */
export interface VmdescValue {
  /**
   * QEMU's names joined by dots; `[i]` behind the name of an array's element. A name may hold dots and a `[0]` of its own,
   * as QEMU wrote it. What belongs to a subsection has the subsection's name on the wire in its path, as if it were a field:
   * `cpu/async_pf_msr.env.async_pf_en_msr`. Where QEMU's own names make one path twice (i8254 has a field that it calls
   * `channels[0].next_transition_time`), the second ends in `~2`: no two leaves of a section have the same path.
   */
  readonly path: string;
  /**
   * The vmdesc's type. Two are our own: `nullptr` also stands for QEMU 7.2's struct without members, and `rest` for bytes
   * that a vmdesc leaves open.
   */
  readonly type: string;
  /** Where it begins, from the section's first body byte. Bytes. */
  readonly offset: number;
  readonly bytes: number;
  readonly value: VmdescLeafValue;
  /** An array that is one leaf: its number of elements. `elementsOf` takes it apart. */
  readonly count?: number;
}

/** What a leaf of this type is on the wire. */
type Codec = "bool" | "timer" | "null" | { readonly bytes: 1 | 2 | 4 | 8; readonly signed: boolean };

const integer = (bytes: 1 | 2 | 4 | 8, signed = false): Codec => ({ bytes, signed });

const codecs: Readonly<Record<string, Codec>> = {
  bool: "bool",
  timer: "timer",
  nullptr: "null",
  uint8: integer(1),
  uint16: integer(2),
  uint32: integer(4),
  uint64: integer(8),
  int8: integer(1, true),
  int16: integer(2, true),
  int32: integer(4, true),
  int64: integer(8, true),
  "uint8 equal": integer(1),
  "uint16 equal": integer(2),
  "uint32 equal": integer(4),
  "uint64 equal": integer(8),
  "int32 equal": integer(4, true),
  "int32 le": integer(4, true),
  // QEMU's name of the unsigned comparison.
  "int64 equal": integer(8),
  CPU_Double_U: integer(8),
};

const widthOf = (codec: Codec): number => (typeof codec === "object" ? codec.bytes : codec === "timer" ? 8 : 1);
const NOT_PENDING = 0xffff_ffff_ffff_ffffn;
const NULL_MARKER = 0x30;

function codecOf(type: string, bytes: number): Codec | undefined {
  const codec = Object.hasOwn(codecs, type) ? codecs[type] : undefined;
  return codec !== undefined && widthOf(codec) === bytes ? codec : undefined;
}

/** The value of a leaf; `count` where it is an array. */
export function leafValue(
  type: string,
  body: Uint8Array,
  offset: number,
  bytes: number,
  count?: number,
): VmdescLeafValue {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const codec = codecOf(type, count === undefined ? bytes : bytes / count);
  if (codec === undefined) return body.slice(offset, offset + bytes);
  if (count === undefined) return scalar(codec, view, offset) ?? whenNull(codec, body, offset);
  const width = widthOf(codec);
  const elements = typeof codec === "object" ? typedArray(codec, count) : new Array<VmdescScalar>(count);
  for (let i = 0, at = offset; i < count; i++, at += width) {
    (elements as unknown[])[i] = scalar(codec, view, at) ?? whenNull(codec, body, at);
  }
  return elements;
}

function scalar(codec: Codec, view: DataView, at: number): VmdescScalar | undefined {
  if (codec === "null") return undefined;
  if (codec === "bool") {
    const byte = view.getUint8(at);
    return byte > 1 ? byte : byte === 1;
  }
  if (codec === "timer") {
    const value = view.getBigUint64(at);
    return value === NOT_PENDING ? undefined : value;
  }
  const { bytes, signed } = codec;
  if (bytes === 8) return signed ? view.getBigInt64(at) : view.getBigUint64(at);
  if (bytes === 4) return signed ? view.getInt32(at) : view.getUint32(at);
  if (bytes === 2) return signed ? view.getInt16(at) : view.getUint16(at);
  return signed ? view.getInt8(at) : view.getUint8(at);
}

/** Null is what is there; a null pointer's byte that is another one stays that byte. */
function whenNull(codec: Codec, body: Uint8Array, at: number): VmdescLeafValue {
  const byte = body[at] as number;
  return codec === "null" && byte !== NULL_MARKER ? byte : null;
}

function typedArray({ bytes, signed }: Exclude<Codec, string>, count: number): ArrayLike<number> | ArrayLike<bigint> {
  if (bytes === 8) return signed ? new BigInt64Array(count) : new BigUint64Array(count);
  if (bytes === 4) return signed ? new Int32Array(count) : new Uint32Array(count);
  if (bytes === 2) return signed ? new Int16Array(count) : new Uint16Array(count);
  return signed ? new Int8Array(count) : new Uint8Array(count);
}

/** The elements of an array that is one leaf, each as a leaf of its own; of any other leaf, the leaf itself. */
export function elementsOf(leaf: VmdescValue): VmdescValue[] {
  const { count } = leaf;
  return count === undefined ? [leaf] : Array.from({ length: count }, (_, i) => elementAt(leaf, count, i));
}

function elementAt({ path, type, offset, bytes: all, value }: VmdescValue, count: number, i: number): VmdescValue {
  const bytes = all / count;
  const isRaw = codecOf(type, bytes) === undefined;
  return {
    path: `${path}[${i}]`,
    type,
    offset: offset + i * bytes,
    bytes,
    value: isRaw
      ? (value as Uint8Array).slice(i * bytes, (i + 1) * bytes)
      : ((value as ArrayLike<VmdescScalar>)[i] as VmdescScalar),
  };
}

/** The leaf, or the element of a leaf, at a path. */
export function leafAt(leaves: readonly VmdescValue[], path: string): VmdescValue | undefined {
  const own = leaves.find((leaf) => leaf.path === path);
  if (own !== undefined) return own;
  const [, array, index] = /^(.*)\[(0|[1-9]\d*)\]$/s.exec(path) ?? [];
  const leaf = array === undefined ? undefined : leaves.find((one) => one.path === array);
  if (leaf?.count === undefined || Number(index) >= leaf.count) return undefined;
  return elementAt(leaf, leaf.count, Number(index));
}

/**
 * The bytes that stand for `value` in a leaf: as many as it has, to be put at its offset. A value that its type cannot hold,
 * or an array or a buffer of another length, is `BITS_RANGE` with the leaf's path.
 */
export function encodeByVmdesc(leaf: VmdescValue, value: VmdescLeafValue): Uint8Array {
  const { path, type, bytes, count } = leaf;
  const codec = codecOf(type, count === undefined ? bytes : bytes / count);
  const out = new Uint8Array(bytes);
  if (codec === undefined) {
    if (!(value instanceof Uint8Array) || value.length !== bytes) throw outOfRange(path, `${bytes} bytes`, value);
    out.set(value);
    return out;
  }
  const view = new DataView(out.buffer);
  if (count === undefined) {
    put(codec, view, 0, value, path, type);
    return out;
  }
  if (!isList(value) || value.length !== count) throw outOfRange(path, `${count} elements of ${type}`, value);
  const width = widthOf(codec);
  for (let i = 0; i < count; i++) put(codec, view, i * width, value[i], `${path}[${i}]`, type);
  return out;
}

const isList = (value: unknown): value is ArrayLike<unknown> => Array.isArray(value) || ArrayBuffer.isView(value);

function put(codec: Codec, view: DataView, at: number, value: unknown, path: string, type: string): void {
  if (codec === "bool" || codec === "null") {
    const byte = codec === "null" && value === null ? NULL_MARKER : typeof value === "boolean" ? Number(value) : value;
    if (!isInteger(byte, 0, 255)) throw outOfRange(path, type, value);
    view.setUint8(at, byte);
    return;
  }
  if (codec === "timer") {
    const deadline = value === null ? NOT_PENDING : value;
    if (typeof deadline !== "bigint" || BigInt.asUintN(64, deadline) !== deadline) throw outOfRange(path, type, value);
    view.setBigUint64(at, deadline);
    return;
  }
  const { bytes, signed } = codec;
  if (bytes === 8) {
    const fits = typeof value === "bigint" && (signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) === value;
    if (!fits) throw outOfRange(path, type, value);
    view.setBigUint64(at, BigInt.asUintN(64, value));
    return;
  }
  const span = 2 ** (8 * bytes);
  if (!isInteger(value, signed ? -span / 2 : 0, (signed ? span / 2 : span) - 1)) throw outOfRange(path, type, value);
  if (bytes === 4) view.setUint32(at, value);
  else if (bytes === 2) view.setUint16(at, value);
  else view.setUint8(at, value);
}

function isInteger(value: unknown, low: number, high: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;
}

function outOfRange(path: string, expected: string, value: unknown): MigrationError {
  const found = isList(value) ? `${value.length} elements` : typeof value === "bigint" ? `${value}n` : String(value);
  return new MigrationError("BITS_RANGE", "not a value of this field", { path, expected, found });
}
