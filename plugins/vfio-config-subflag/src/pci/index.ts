// PCI as a migration sees it: the device's body, configuration space with its masks, registers by name.
export { msixVectorsOf } from "./capabilities.ts";
export { type ConfigSpaceInit, PciConfigSpace } from "./config-space.ts";
export { pciDevice } from "./device.ts";
export { type MsiPlaces, msiPlaces, msiSetup } from "./msi.ts";
export type { ConfigBytes } from "./registers.ts";
