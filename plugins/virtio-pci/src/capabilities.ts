// The capability list of PCI configuration space: walked, and built.
import { MigrationError } from "@godwit/core";
import {
  capabilityId,
  header,
  modernBar,
  msixBar,
  notifyMultiplier,
  pciStatus,
  structureAt,
  structureBytes,
  structureType,
} from "./registers.ts";

export interface Capability {
  readonly id: number;
  /** Offset in configuration space. */
  readonly at: number;
}

/** The capabilities in their order. `PARAMETER_WRONG` where the list leads out of its bounds or runs in a circle. */
export function capabilitiesOf(config: Uint8Array): readonly Capability[] {
  if (((config[header.status] as number) & pciStatus.capabilityList) === 0) return [];
  const found: Capability[] = [];
  const seen = new Set<number>();
  for (let at = (config[header.capabilities] as number) & 0xfc; at !== 0; ) {
    if (at < header.end || seen.has(at)) {
      throw new MigrationError("PARAMETER_WRONG", "the PCI capability list cannot be walked", {
        path: `transport.pci_dev.config[${at}]`,
        found: seen.has(at) ? "a circle" : "an offset within the header",
      });
    }
    seen.add(at);
    found.push({ id: config[at] as number, at });
    at = (config[at + 1] as number) & 0xfc;
  }
  return found;
}

export interface BuiltCapability extends Capability {
  readonly bytes: Uint8Array;
  /** Bits that the guest may write. */
  readonly writable: Uint8Array;
}

/** The capabilities of a modern virtio function, at the offsets that QEMU gives them, each linked to the one before. */
export function virtioCapabilities(msix: { vectors: number; pbaAt: number } | undefined): readonly BuiltCapability[] {
  const built = [
    structure(0x40, structureType.common, modernBar, structureAt.common, structureBytes),
    structure(0x50, structureType.isr, modernBar, structureAt.isr, structureBytes),
    structure(0x60, structureType.device, modernBar, structureAt.device, structureBytes),
    structure(0x70, structureType.notify, modernBar, structureAt.notify, structureBytes, notifyMultiplier),
    configAccess(pciConfigAt),
    ...(msix === undefined ? [] : [msixCapability(0x98, msix)]),
  ];
  built.forEach(({ bytes }, i) => {
    bytes[1] = built[i - 1]?.at ?? 0;
  });
  return built;
}

/** Where the window into BARs stands in configuration space. */
export const pciConfigAt = 0x84;

function structure(
  at: number,
  type: number,
  bar: number,
  offset: number,
  length: number,
  more?: number,
): BuiltCapability {
  const bytes = new Uint8Array(more === undefined ? 16 : 20);
  const view = new DataView(bytes.buffer);
  bytes.set([capabilityId.vendor, 0, bytes.length, type, bar]);
  view.setUint32(8, offset, true);
  view.setUint32(12, length, true);
  if (more !== undefined) view.setUint32(16, more, true);
  return { id: capabilityId.vendor, at, bytes, writable: new Uint8Array(bytes.length) };
}

/** Virtio 1.2, section 4.1.4.9: BAR, offset, length and data are the guest's to write. */
function configAccess(at: number): BuiltCapability {
  const built = structure(at, structureType.pciConfig, 0, 0, 0, 0);
  built.writable[4] = 0xff;
  built.writable.fill(0xff, 8);
  return built;
}

function msixCapability(at: number, { vectors, pbaAt }: { vectors: number; pbaAt: number }): BuiltCapability {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  bytes[0] = capabilityId.msix;
  view.setUint16(2, vectors - 1, true);
  view.setUint32(4, msixBar, true);
  view.setUint32(8, pbaAt | msixBar, true);
  const writable = new Uint8Array(12);
  // Enable and function mask.
  writable[3] = 0xc0;
  return { id: capabilityId.msix, at, bytes, writable };
}
