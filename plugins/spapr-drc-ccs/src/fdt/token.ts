// One token of a structure block: what it says, and where the next one stands.
import { type FdtBlocks, fdtToken, malformed } from "./blob.ts";

export type FdtStep =
  | { readonly kind: "node"; readonly name: Uint8Array; readonly next: number }
  | { readonly kind: "property"; readonly name: Uint8Array; readonly value: Uint8Array; readonly next: number }
  | { readonly kind: "end-node"; readonly next: number }
  | { readonly kind: "nop"; readonly next: number }
  | { readonly kind: "end"; readonly next: number };

/** The token at `offset`, counted from the structure block's first byte. `DEFINITION_INVALID` where there is none. */
export function tokenAt({ structure, strings }: FdtBlocks, offset: number): FdtStep {
  const need = (at: number, bytes: number): number => {
    if (at + bytes > structure.byteLength) throw malformed("a token that is cut", offset);
    return at;
  };
  if (offset < 0 || offset % 4 !== 0) throw malformed("no token", offset);
  const raw = new Uint8Array(structure.buffer, structure.byteOffset, structure.byteLength);
  const token = structure.getUint32(need(offset, 4));
  const from = offset + 4;
  switch (token) {
    case fdtToken.beginNode: {
      const name = textAt(raw, from, offset);
      return { kind: "node", name, next: aligned(from + name.length + 1) };
    }
    case fdtToken.property: {
      const length = structure.getUint32(need(from, 8));
      const name = textAt(strings, structure.getUint32(from + 4), offset);
      const value = raw.subarray(need(from + 8, length), from + 8 + length);
      return { kind: "property", name, value, next: aligned(from + 8 + length) };
    }
    case fdtToken.endNode:
      return { kind: "end-node", next: from };
    case fdtToken.nop:
      return { kind: "nop", next: from };
    case fdtToken.end:
      return { kind: "end", next: from };
    default:
      throw malformed(`an unknown token ${token}`, offset);
  }
}

function textAt(bytes: Uint8Array, from: number, offset: number): Uint8Array {
  const end = from > bytes.length ? -1 : bytes.indexOf(0, from);
  if (end < 0) throw malformed("a name without an end", offset);
  return bytes.subarray(from, end);
}

function aligned(offset: number): number {
  return (offset + 3) & ~3;
}
