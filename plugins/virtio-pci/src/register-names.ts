// What the bytes of configuration space are called, for whoever reads that one of them does not fit.
import type { BuiltCapability } from "./capabilities.ts";
import { capabilityId, structureType } from "./registers.ts";

/** Offset of each register of the type 0 header, and its name. */
const headerRegisters: readonly (readonly [number, string])[] = [
  [0x00, "vendor id"],
  [0x02, "device id"],
  [0x04, "command"],
  [0x06, "status"],
  [0x08, "revision id"],
  [0x09, "class code"],
  [0x0c, "cache line size"],
  [0x0d, "latency timer"],
  [0x0e, "header type"],
  [0x0f, "BIST"],
  [0x10, "BAR 0"],
  [0x14, "BAR 1"],
  [0x18, "BAR 2"],
  [0x1c, "BAR 3"],
  [0x20, "BAR 4"],
  [0x24, "BAR 5"],
  [0x28, "CardBus CIS pointer"],
  [0x2c, "subsystem vendor id"],
  [0x2e, "subsystem id"],
  [0x30, "expansion ROM"],
  [0x34, "capabilities pointer"],
  [0x35, "reserved"],
  [0x3c, "interrupt line"],
  [0x3d, "interrupt pin"],
  [0x3e, "minimum grant"],
  [0x3f, "maximum latency"],
];

const structures: Readonly<Record<number, string>> = {
  [structureType.common]: "virtio common configuration",
  [structureType.notify]: "virtio notification",
  [structureType.isr]: "virtio interrupt status",
  [structureType.device]: "virtio device configuration",
  [structureType.pciConfig]: "virtio configuration access",
};

const capabilities: Readonly<Record<number, string>> = {
  [capabilityId.powerManagement]: "power management",
  [capabilityId.express]: "PCI Express",
  [capabilityId.msix]: "MSI-X",
};

/** Gives the name of the register at an offset, such as `PCI command register` or `MSI-X capability, byte 2`. */
export function registerNames(list: readonly BuiltCapability[]): (offset: number) => string {
  return (offset) => {
    const capability = list.find(({ at, bytes }) => offset >= at && offset < at + bytes.length);
    if (capability !== undefined) return `${nameOf(capability)} capability, byte ${offset - capability.at}`;
    const register = headerRegisters.findLast(([at]) => at <= offset);
    return offset < 0x40 && register !== undefined ? `PCI ${register[1]} register` : "PCI space of no capability";
  };
}

function nameOf({ id, at, bytes }: BuiltCapability): string {
  if (at >= 0x100) return "extended";
  return id === capabilityId.vendor ? (structures[bytes[3] as number] ?? "vendor") : (capabilities[id] ?? "unknown");
}
