// @godwit/virtio-pci: the PCI transport of virtio devices.
export {
  type ModernQueueState,
  type PciDeviceState,
  pciDevice,
  type VirtioPciConfigState,
  type VirtioPciExtraState,
  type VirtioPciQueueState,
  virtioPciTransport,
} from "./descriptions.ts";
export { virtioPciFamily } from "./family.ts";
export { virtioPci } from "./plugin.ts";
export { type VirtioPciDescription, type VirtioPciState, virtioPciSection } from "./section.ts";
export type * from "./types.ts";
