// Compares two saves of the same machine at the same virtual time, field by field.
import { type FieldPlace, fieldAt, type Members } from "./fields.ts";
import type { SavedSection } from "./machine.ts";

/** A whole stream, and where its sections lie. */
export interface Save {
  readonly bytes: Uint8Array;
  readonly sections: readonly SavedSection[];
}

export interface Difference {
  /** As `idstr/instance`. */
  readonly section: string;
  /** Undefined where the sections have different lengths, or nothing describes the place. */
  readonly path: string | undefined;
  /** What stood there, and what stands there now, where it is one number of at most 8 bytes. */
  readonly values: readonly [bigint, bigint] | undefined;
}

/** Every field that differs, once. */
export function differences(a: Save, b: Save): readonly Difference[] {
  if (equal(a.bytes, b.bytes)) return [];
  if (a.sections.map(keyOf).join("\n") !== b.sections.map(keyOf).join("\n")) {
    return [{ section: "stream", path: undefined, values: undefined }];
  }
  const devices = describedIn(a);
  const found = a.sections.flatMap((section, i) => {
    const other = b.sections[i] as SavedSection;
    const described = section.phase === "full" ? devices.find((one) => deviceKey(one) === keyOf(section)) : undefined;
    return inSection(keyOf(section), bodyOf(a, section), bodyOf(b, other), described);
  });
  return found.length > 0 ? found : [{ section: "stream", path: undefined, values: undefined }];
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

const keyOf = ({ idstr, instance }: SavedSection) => `${idstr}/${instance}`;
const deviceKey = ({ name, instance_id }: Members) => `${name}/${instance_id}`;

function inSection(section: string, a: Uint8Array, b: Uint8Array, described: Members | undefined): Difference[] {
  if (a.length !== b.length) return [{ section, path: undefined, values: undefined }];
  const found: Difference[] = [];
  for (let at = 0; at < a.length; at++) {
    if (a[at] === b[at]) continue;
    const place = described && fieldAt(described, at);
    if (place === undefined) return [...found, { section, path: undefined, values: undefined }];
    found.push({ section, path: place.path, values: valuesAt(place, a, b) });
    at = place.start + place.bytes - 1;
  }
  return found;
}

function valuesAt({ start, bytes, type }: FieldPlace, a: Uint8Array, b: Uint8Array): [bigint, bigint] | undefined {
  if (bytes > 8 || !/^(u?int\d+|timer)/.test(type)) return undefined;
  const read = (from: Uint8Array) => {
    const value = from.subarray(start, start + bytes).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    return type.startsWith("int") ? BigInt.asIntN(bytes * 8, value) : value;
  };
  return [read(a), read(b)];
}

/** Without head (type, id, idstr, instance, version; a later part has no more than its id) and footer. */
function bodyOf({ bytes }: Save, { offset, bytes: length, phase }: SavedSection): Uint8Array {
  const named = phase === "full" || phase === "start";
  const head = named ? 1 + 4 + 1 + (bytes[offset + 5] as number) + 8 : 1 + 4;
  return bytes.subarray(offset + head, offset + length - 5);
}

/** What the stream says of its devices: JSON behind the EOF byte, a type byte and a length. */
export function describedIn({ bytes, sections }: Save): readonly Members[] {
  const last = sections.at(-1);
  if (last === undefined) return [];
  const at = last.offset + last.bytes;
  if (bytes[at] !== 0x00 || bytes[at + 1] !== 0x06) return [];
  const text = new TextDecoder().decode(bytes.subarray(at + 6));
  return (JSON.parse(text) as { devices: readonly Members[] }).devices;
}
