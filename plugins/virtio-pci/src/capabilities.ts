// The capability list of PCI configuration space: walked, and built as QEMU lays it out.
import { MigrationError } from "@godwit/core";
import {
  capabilityId,
  extendedCapabilityId,
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
  /** Bits that the guest clears by writing 1. */
  readonly clearable: Uint8Array;
  /** Bits that a load compares where they are not the guest's. */
  readonly compared: Uint8Array;
}

/** Where the capabilities are that the function itself looks at; undefined: it has none such. */
export interface CapabilityLayout {
  readonly list: readonly BuiltCapability[];
  readonly express: number | undefined;
  /** The window into BARs. */
  readonly pciConfig: number | undefined;
  readonly msix: number | undefined;
}

export interface CapabilityInit {
  readonly express: boolean;
  readonly modern: boolean;
  readonly msix: { readonly vectors: number; readonly pbaAt: number } | undefined;
}

/** The capabilities of a virtio function, each in the room behind the one before, and linked to it. */
export function virtioCapabilities({ express, modern, msix }: CapabilityInit): CapabilityLayout {
  const list: BuiltCapability[] = [];
  const add = (capability: Omit<BuiltCapability, "at">): number => {
    const before = list.at(-1);
    const at = before === undefined ? header.end : before.at + before.bytes.length;
    capability.bytes[1] = before?.at ?? 0;
    list.push({ ...capability, at });
    return at;
  };
  const expressAt = express ? add(expressCapability()) : undefined;
  if (express) add(powerManagement());
  let pciConfig: number | undefined;
  if (modern) {
    add(structure(structureType.common, structureAt.common));
    add(structure(structureType.isr, structureAt.isr));
    add(structure(structureType.device, structureAt.device));
    add(structure(structureType.notify, structureAt.notify, notifyMultiplier));
    pciConfig = add(configAccess());
  }
  return { list, express: expressAt, pciConfig, msix: msix === undefined ? undefined : add(msixCapability(msix)) };
}

function built(id: number, length: number): Omit<BuiltCapability, "at"> & { readonly view: DataView } {
  const bytes = new Uint8Array(length);
  bytes[0] = id;
  const [writable, clearable] = [new Uint8Array(length), new Uint8Array(length)];
  return {
    id,
    bytes,
    writable,
    clearable,
    compared: new Uint8Array(length).fill(0xff),
    view: new DataView(bytes.buffer),
  };
}

/** `more` makes it longer: the notification's multiplier, or the window's data. */
function structure(type: number, offset: number, more?: number): Omit<BuiltCapability, "at"> {
  const { view, ...made } = built(capabilityId.vendor, more === undefined ? 16 : 20);
  made.bytes.set([made.bytes.length, type, modernBar], 2);
  view.setUint32(8, offset, true);
  view.setUint32(12, structureBytes, true);
  if (more !== undefined) view.setUint32(16, more, true);
  return made;
}

/** Virtio 1.2, section 4.1.4.9: BAR, offset, length and data are the guest's to write. */
function configAccess(): Omit<BuiltCapability, "at"> {
  const made = structure(structureType.pciConfig, 0, 0);
  made.bytes.fill(0, 4);
  made.writable[4] = 0xff;
  made.writable.fill(0xff, 8);
  return made;
}

function msixCapability({ vectors, pbaAt }: { vectors: number; pbaAt: number }): Omit<BuiltCapability, "at"> {
  const { view, ...made } = built(capabilityId.msix, 12);
  view.setUint16(2, vectors - 1, true);
  view.setUint32(4, msixBar, true);
  view.setUint32(8, pbaAt | msixBar, true);
  // Enable and function mask.
  made.writable[3] = 0xc0;
  return made;
}

/** Offset of the device control register in the Express capability, and its bit that resets the function. */
export const deviceControl = { at: 8, functionReset: 0x8000 } as const;

/** An endpoint of version 2 (PCI Express 3.0, section 7.8), with a function-level reset and a link of one lane. */
function expressCapability(): Omit<BuiltCapability, "at"> {
  const { view, ...made } = built(capabilityId.express, 0x3c);
  const write = new DataView(made.writable.buffer);
  view.setUint16(0x02, 2, true);
  // Role-based error reporting; function-level reset.
  view.setUint32(0x04, 0x1000_8000, true);
  write.setUint16(deviceControl.at, deviceControl.functionReset | 0x0f, true);
  made.clearable[0x0a] = 0x0f;
  // 2.5 GT/s, one lane: as capability, and as status.
  view.setUint32(0x0c, 0x411, true);
  write.setUint16(0x10, 0xc0, true);
  view.setUint16(0x12, 0x11, true);
  // Link status is the port's.
  made.compared.fill(0, 0x12, 0x14);
  // Extended and end-to-end prefixes, and their blocking.
  view.setUint32(0x24, 0x0030_0000, true);
  write.setUint16(0x28, 0x8000, true);
  return made;
}

/** PCI Power Management 1.2: version 3, and a power state that is the guest's to write. */
function powerManagement(): Omit<BuiltCapability, "at"> {
  const { view, ...made } = built(capabilityId.powerManagement, 8);
  view.setUint16(2, 3, true);
  made.writable[4] = 3;
  return made;
}

/** Where extended capabilities begin. */
const extendedAt = 0x100;

/** The list of extended capabilities: address translation services, or the word that says that there are none. */
export function extendedCapabilities(ats: boolean): BuiltCapability {
  const { view, ...made } = built(ats ? extendedCapabilityId.ats : 0, ats ? 8 : 4);
  if (ats) {
    // Version 1, the last one; requests are aligned to pages. The control register enables, and has the smallest unit.
    view.setUint32(0, extendedCapabilityId.ats | (1 << 16), true);
    view.setUint16(4, 0x20, true);
    made.writable.set([0x0f, 0x80], 6);
  }
  return { ...made, at: extendedAt };
}
