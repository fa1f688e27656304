// The registers in an image of PCI configuration space, and in an MSI-X table, that have names.
import { type NamedPart, type NameTable, namesIn } from "./bits.ts";
import {
  atsControl,
  baseClass,
  capabilityIds,
  command,
  expressCapabilities,
  expressDeviceControl,
  extendedCapabilityIds,
  headerType,
  msiControl,
  msixControl,
  powerControl,
  status,
  vectorControl,
  vendors,
  virtioCapabilityTypes,
  virtioDevice,
} from "./pci-tables.ts";

/** All integers in configuration space are little-endian. */
class Config {
  readonly parts: NamedPart[] = [];
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u8(at: number): number {
    return this.bytes[at] as number;
  }
  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }
  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }
  part(path: string, value: number, names: readonly (string | undefined)[]): void {
    this.parts.push({ path, value, names: names.filter((name) => name !== undefined) });
  }
  named(path: string, value: number, table: NameTable): void {
    this.part(path, value, namesIn(table, value));
  }
}

/** Nothing where the image is too short to be one. */
export function pciConfigParts(bytes: Uint8Array): NamedPart[] {
  if (bytes.length < 64) return [];
  const config = new Config(bytes);
  const vendor = config.u16(0);
  const device = config.u16(2);
  config.named("vendor", vendor, vendors);
  config.part("device", device, [vendor === 0x1af4 ? virtioDevice(device) : undefined]);
  config.named("command", config.u16(4), command);
  config.named("status", config.u16(6), status);
  config.part("class", (config.u16(10) << 8) | config.u8(9), namesIn(baseClass, config.u8(11)));
  config.named("header", config.u8(14), headerType);
  if (config.u16(6) & 0x10) capabilities(config, vendor);
  if (bytes.length >= 4096) extendedCapabilities(config);
  return config.parts;
}

function capabilities(config: Config, vendor: number): void {
  const seen = new Set<number>();
  // An image may be shorter than its capabilities say.
  const isInside = (at: number): boolean => at >= 0x40 && at <= 0xf8 && at + 8 <= config.bytes.length;
  for (let at = config.u8(0x34) & 0xfc; isInside(at) && !seen.has(at); at = config.u8(at + 1) & 0xfc) {
    seen.add(at);
    const id = config.u8(at);
    const path = `capability[0x${at.toString(16)}]`;
    const isVirtio = id === 0x09 && vendor === 0x1af4;
    const names = isVirtio ? ["virtio", ...namesIn(virtioCapabilityTypes, config.u8(at + 3))] : [capabilityIds[id]];
    config.part(path, id, names);
    inside(config, id, at, path);
  }
}

function inside(config: Config, id: number, at: number, path: string): void {
  const { length } = config.bytes;
  if (id === 0x01 && at + 6 <= length) config.named(`${path}.control`, config.u16(at + 4), powerControl);
  if (id === 0x05) config.named(`${path}.control`, config.u16(at + 2), msiControl);
  if (id === 0x11) config.named(`${path}.control`, config.u16(at + 2), msixControl);
  if (id === 0x10 && at + 10 <= length) {
    config.named(`${path}.capabilities`, config.u16(at + 2), expressCapabilities);
    config.named(`${path}.deviceControl`, config.u16(at + 8), expressDeviceControl);
  }
}

function extendedCapabilities(config: Config): void {
  const seen = new Set<number>();
  for (let at = 0x100; at >= 0x100 && at <= 0xff8 && !seen.has(at); ) {
    seen.add(at);
    const header = config.u32(at);
    if (header === 0 || header === 0xffff_ffff) return;
    const id = header & 0xffff;
    const path = `capability[0x${at.toString(16)}]`;
    config.part(path, id, [extendedCapabilityIds[id]]);
    if (id === 0x000f) config.named(`${path}.control`, config.u16(at + 6), atsControl);
    at = (header >>> 20) & 0xffc;
  }
}

/** Bytes of an MSI-X table's entry. */
const entryBytes = 16;

/** Each entry that is not all zeros: address, and data and mask as its names. */
export function msixTableParts(bytes: Uint8Array): NamedPart[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const parts: NamedPart[] = [];
  for (let at = 0; at + entryBytes <= bytes.length; at += entryBytes) {
    const address = view.getBigUint64(at, true);
    const data = view.getUint32(at + 8, true);
    const control = view.getUint32(at + 12, true);
    if (address === 0n && data === 0 && control === 0) continue;
    const names = [`data=0x${data.toString(16)}`, ...namesIn(vectorControl, control)];
    parts.push({ path: `[${at / entryBytes}]`, value: address, names, isPrivate: true });
  }
  return parts;
}
