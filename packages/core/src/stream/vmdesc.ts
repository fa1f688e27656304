// The JSON description that QEMU appends to a stream: written as QEMU writes it, read, and used to find where
// sections end. Source: wire reference 1.7 and 1.8.
import { MigrationError } from "../errors.ts";
import { utf8Decode, utf8Length } from "../utf8.ts";
import { boundVmdesc, vmdescAt } from "./vmdesc-record.ts";
import type { Vmdesc, VmdescDevice, VmdescMembers } from "./vmdesc-types.ts";

/** Compact JSON on one line, `": "` behind keys and `", "` between members, as QEMU prints it. */
export function vmdescText(vmdesc: Vmdesc): string {
  return print(vmdesc);
}

function print(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(print).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, one]) => one !== undefined);
    return `{${members.map(([key, one]) => `${quote(key)}: ${print(one)}`).join(", ")}}`;
  }
  return typeof value === "string" ? quote(value) : String(value);
}

function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`,
  );
}

/** The description of a VMDESCRIPTION record's text. `VMDESC_INVALID` where it is none. */
export function parseVmdesc(bytes: Uint8Array): Vmdesc {
  let json: unknown;
  try {
    json = JSON.parse(utf8Decode(bytes));
  } catch (cause) {
    throw new MigrationError("VMDESC_INVALID", "the stream's description is no JSON", { cause });
  }
  const top = json as Partial<Vmdesc> | null;
  if (typeof top !== "object" || top === null || !Array.isArray(top.devices) || typeof top.page_size !== "number") {
    throw new MigrationError("VMDESC_INVALID", "the stream's description lacks its devices or page size");
  }
  for (const [i, device] of (top.devices as unknown[]).entries()) checkDevice(device, `devices[${i}]`);
  return top as Vmdesc;
}

/** Descriptions nest a few levels deep; a stream that claims more would only exhaust the stack. */
const deepest = 64;

function checkDevice(device: unknown, path: string): void {
  const { name, instance_id } = checkMembers(device, path, 0);
  if (typeof name !== "string" || typeof instance_id !== "number") throw invalid(path, "has no name or instance");
  sectionBytes(device as VmdescDevice);
}

/** Everything that is looked at later has its type; the object itself. */
function checkMembers(value: unknown, path: string, depth: number): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw invalid(path, "is no object");
  if (depth > deepest) throw invalid(path, "nests too deep");
  const members = value as Record<string, unknown>;
  for (const key of ["fields", "subsections"] as const) {
    const list = members[key] ?? [];
    if (!Array.isArray(list)) throw invalid(`${path}.${key}`, "is no list");
    for (const [i, one] of list.entries()) {
      const at = `${path}.${key}[${i}]`;
      const own = checkMembers(one, at, depth + 1);
      if (key === "subsections" && typeof own["vmsd_name"] !== "string") throw invalid(at, "has no name");
      if (own["struct"] !== undefined) checkMembers(own["struct"], `${at}.struct`, depth + 1);
    }
  }
  return members;
}

function invalid(path: string, detail: string): MigrationError {
  return new MigrationError("VMDESC_INVALID", `the stream's description: ${path} ${detail}`);
}

/**
 * Bytes of a section's body, header and footer not counted, as the description adds them up. Undefined where it cannot
 * tell: QEMU before 10.0 lists an array of pointers whose first is null as so many nulls, whatever the others are.
 */
export function sectionBytes(device: VmdescDevice): number | undefined {
  const members = device as Partial<VmdescMembers>;
  if (hidesElements(members)) return undefined;
  const whole = members.fields === undefined && members.subsections === undefined;
  const bytes = whole ? (device.size ?? Number.NaN) : membersBytes(members);
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw new MigrationError("VMDESC_INVALID", "a device's fields do not add up", { found: device.name });
  }
  return bytes;
}

function hidesElements({ fields = [], subsections = [] }: Partial<VmdescMembers>): boolean {
  return (
    fields.some(
      ({ struct, array_len }) =>
        struct !== undefined && ("fields" in struct ? hidesElements(struct) : array_len !== undefined && array_len > 1),
    ) || subsections.some(hidesElements)
  );
}

function membersBytes({ fields = [], subsections = [] }: Partial<VmdescMembers>): number {
  let bytes = 0;
  for (const field of fields) bytes += field.size * (field.array_len ?? 1);
  for (const own of subsections) bytes += 1 + 1 + utf8Length(own.vmsd_name) + 4 + membersBytes(own);
  return bytes;
}

/**
 * Looks for the VMDESCRIPTION record at the end of a stream, of which `tail` is the last part: an EOF byte, the record's
 * type, a length that reaches exactly to the end, and JSON. Undefined where `tail` does not hold one whole.
 */
export function findVmdesc(tail: Uint8Array): { readonly vmdesc: Vmdesc; readonly at: number } | undefined {
  const at = vmdescAt(tail);
  if (at === undefined) return undefined;
  boundVmdesc(tail.length - at - 5);
  return { vmdesc: parseVmdesc(tail.subarray(at + 5)), at };
}
