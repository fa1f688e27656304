// The capability list of PCI configuration space, walked; and what MSI-X says there of itself.
import { MigrationError } from "@godwit/core";
import { capabilityId, header, pciStatus } from "./registers.ts";

export interface Capability {
  readonly id: number;
  /** Offset in configuration space. */
  readonly at: number;
}

/** In their order. `PARAMETER_WRONG` where the list leads into the header or runs in a circle. */
export function capabilitiesOf(config: Uint8Array): readonly Capability[] {
  if (((config[header.status] as number) & pciStatus.capabilityList) === 0) return [];
  const found: Capability[] = [];
  const seen = new Set<number>();
  for (let at = (config[header.capabilities] as number) & 0xfc; at !== 0; ) {
    if (at < header.end || seen.has(at)) {
      throw new MigrationError("PARAMETER_WRONG", "the PCI capability list cannot be walked", {
        path: `pci_dev.config[${at}]`,
        found: seen.has(at) ? "a circle" : "an offset within the header",
      });
    }
    seen.add(at);
    found.push({ id: config[at] as number, at });
    at = (config[at + 1] as number) & 0xfc;
  }
  return found;
}

/** Where MSI-X stands; undefined without it. */
export function msixCapability(config: Uint8Array): number | undefined {
  return capabilitiesOf(config).find(({ id }) => id === capabilityId.msix)?.at;
}

/** Vectors that MSI-X has by its message control; 0 without it. */
export function msixVectorsOf(config: Uint8Array): number {
  const at = msixCapability(config);
  if (at === undefined) return 0;
  return (((config[at + 2] as number) | ((config[at + 3] as number) << 8)) & 0x7ff) + 1;
}
