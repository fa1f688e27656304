// The two blocks of a flattened device tree that a walk reads. Source: Devicetree Specification, chapter 5.
import { MigrationError } from "@godwit/core";

export const fdtMagic = 0xd00d_feed;
export const fdtHeaderBytes = 40;

/** The tokens of the structure block. */
export const fdtToken = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;

/** A flattened tree, opened. Offsets of the walk count from the first byte of `structure`. */
export interface FdtBlocks {
  readonly structure: DataView;
  readonly strings: Uint8Array;
}

/** Finds the blocks by the header. `DEFINITION_INVALID` where the header does not describe the bytes it stands in. */
export function openFdt(fdt: Uint8Array): FdtBlocks {
  const header = new DataView(fdt.buffer, fdt.byteOffset, fdt.byteLength);
  if (fdt.length < fdtHeaderBytes || header.getUint32(0) !== fdtMagic) throw malformed("no header", 0);
  const word = (at: number): number => header.getUint32(at);
  const lastCompatible = word(24);
  if (word(20) < 17 || lastCompatible > 17) throw malformed("a version that is not readable as 17", 20);
  const block = (offset: number, size: number, at: number): Uint8Array => {
    if (offset + size > fdt.length) throw malformed("a block beyond the end", at);
    return fdt.subarray(offset, offset + size);
  };
  const structure = block(word(8), word(36), 8);
  const strings = block(word(12), word(32), 12);
  return { structure: new DataView(structure.buffer, structure.byteOffset, structure.byteLength), strings };
}

export function malformed(why: string, at: number): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `the flattened device tree has ${why}`, {
    side: "define",
    found: `at byte ${at}`,
  });
}
