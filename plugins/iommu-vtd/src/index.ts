// @godwit/iommu-vtd: Intel VT-d, its migration state, its address translation and its interrupt remapping.
export { type CapabilityChoice, type CapabilityOptions, optionsFor } from "./capability.ts";
export { checkVtdState } from "./check.ts";
export { type VtdState, vtd, vtdFamily } from "./description.ts";
export type { InvalidateDeviceTlb } from "./descriptor.ts";
export type { AbsentMemory, Dma, GuestMemory } from "./dma.ts";
export type { SignalMsi } from "./events.ts";
export { type Ram, type VtdIommuOffer, type VtdIommuOptions, vtdIommu } from "./iommu.ts";
export {
  type CompatibilityFormat,
  type InterruptRemapper,
  interruptRemapper,
  type RemappedInterrupt,
  type RemapperOptions,
} from "./remap.ts";
export type { TableMemory } from "./tables.ts";
export { type Translation, type Translator, translator } from "./translate.ts";
export type { IommuStatistics } from "./unit.ts";
