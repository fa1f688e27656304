// @godwit/virtio-pci: the PCI transport of virtio devices.
export type * from "./types.ts";
export { virtioPciFamily } from "./family.ts";
export { type VirtioPciDescription, virtioPciSection } from "./section.ts";
export { virtioPci } from "./plugin.ts";
