// A connector's index, which is its section's instance id, and what follows from the type in it.
// Source: PAPR 13.5.1 (ibm,drc-indexes, ibm,drc-types); QEMU: spapr_drc_index().
import { MigrationError } from "@godwit/core";

/** `cpu`, `phb`, `lmb` and `pmem` are logical connectors, `pci` is a physical one. */
export type DrcType = "cpu" | "phb" | "pci" | "lmb" | "pmem";

const typeNumbers: Readonly<Record<DrcType, number>> = { cpu: 1, phb: 2, pci: 4, lmb: 8, pmem: 9 };

/** The index of a connector: 4 bits of type, 28 bits of number. `DEFINITION_INVALID`. */
export function drcIndex(type: DrcType, id: number): number {
  if (Number.isInteger(id) && id >= 0 && id < 2 ** 28) return typeNumbers[type] * 2 ** 28 + id;
  throw invalid(`a connector's number has 28 bits`, String(id));
}

/** `DEFINITION_INVALID` where the index has none of the types. */
export function drcType(index: number): DrcType {
  const number = Math.floor(index / 2 ** 28);
  for (const [type, own] of Object.entries(typeNumbers)) {
    if (own === number && Number.isInteger(index)) return type as DrcType;
  }
  throw invalid("a connector's index begins with its type", `0x${index.toString(16)}`);
}

export function isPhysical(type: DrcType): boolean {
  return type === "pci";
}

function invalid(why: string, found: string): MigrationError {
  return new MigrationError("DEFINITION_INVALID", why, { side: "define", found });
}
