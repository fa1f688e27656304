// Writes a flattened device tree, version 17. Source: Devicetree Specification, chapter 5.
import { MigrationError, Writer } from "@godwit/core";
import { fdtHeaderBytes, fdtMagic, fdtToken } from "./blob.ts";

/** A node: its properties come first, in their order, then its children. Names are ASCII. */
export interface FdtNode {
  readonly name: string;
  readonly properties?: readonly (readonly [name: string, value: Uint8Array])[];
  readonly children?: readonly FdtNode[];
}

/** A property of 32-bit cells. */
export function cells(...values: readonly number[]): Uint8Array {
  const out = new Writer();
  for (const value of values) out.u32(value >>> 0);
  return out.flush();
}

/** A property of strings, each with its NUL. */
export function strings(...values: readonly string[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [...ascii(value), 0]));
}

/** The blob of a tree: header, an empty reservation block, structure, strings. */
export function buildFdt(root: FdtNode): Uint8Array {
  const names = new Names();
  const structure = new Writer();
  writeNode(structure, root, names);
  structure.u32(fdtToken.end);
  const body = structure.flush();
  const text = names.bytes();
  const reservations = fdtHeaderBytes;
  const structureAt = reservations + 16;
  const stringsAt = structureAt + body.length;
  const header = cells(
    fdtMagic,
    stringsAt + text.length,
    structureAt,
    stringsAt,
    reservations,
    17,
    16,
    0,
    text.length,
    body.length,
  );
  const blob = new Uint8Array(stringsAt + text.length);
  blob.set(header);
  blob.set(body, structureAt);
  blob.set(text, stringsAt);
  return blob;
}

function writeNode(out: Writer, { name, properties = [], children = [] }: FdtNode, names: Names): void {
  out.u32(fdtToken.beginNode);
  writePadded(out, Uint8Array.from([...ascii(name), 0]));
  for (const [key, value] of properties) {
    out.u32(fdtToken.property);
    out.u32(value.length);
    out.u32(names.offsetOf(key));
    writePadded(out, value);
  }
  for (const child of children) writeNode(out, child, names);
  out.u32(fdtToken.endNode);
}

function writePadded(out: Writer, bytes: Uint8Array): void {
  out.raw(bytes);
  for (let at = bytes.length; at % 4 !== 0; at++) out.u8(0);
}

/** The strings block: each name once. */
class Names {
  readonly #offsets = new Map<string, number>();
  readonly #bytes: number[] = [];

  offsetOf(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.#bytes.length;
    this.#offsets.set(name, offset);
    this.#bytes.push(...ascii(name), 0);
    return offset;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

function ascii(text: string): number[] {
  return Array.from(text, (char) => {
    const code = char.charCodeAt(0);
    if (code > 0 && code < 0x80) return code;
    throw new MigrationError("DEFINITION_INVALID", "a name in a device tree is ASCII", { side: "define", found: text });
  });
}
