// @godwit/vfio-config-subflag: a VFIO device with the config-space sub-flag protocol, and modelled vendor drivers.

export { type VfioErrorCode, vfioErrorCodes } from "./codes.ts";
export { blockedCapabilities, type ContainedDevice, type VfioContainer, vfioContainer } from "./container.ts";
export { type VfioPciDeviceState, type VfioRecordState, vfioPciDevice, vfioRecord } from "./descriptions.ts";
export { arcs, type DeviceState, type DriverFeatures, deviceState, wayTo } from "./device-state.ts";
export { vfioFamilies, vfioFamily } from "./family.ts";
export type { VfioFunction } from "./function.ts";
export { inferBody, inferRecord, type VfioRecordParameters } from "./infer.ts";
export type { InterruptRouter } from "./interrupts.ts";
export {
  dialectVersion,
  type MarkerName,
  marker,
  markerName,
  markerWord,
  subFlag,
  type VfioDialect,
  type VfioPhase,
} from "./markers.ts";
export { type ModelDriver, type ModelFault, type ModelInit, modelDriver } from "./model/driver.ts";
export type { VfioPciParameters } from "./parameters.ts";
export { type VfioPciOffer, type VfioPciOptions, vfioPci } from "./plugin.ts";
export {
  encodeVfioSection,
  type VfioConfigRecord,
  type VfioCounts,
  type VfioRecord,
  type VfioSection,
} from "./records.ts";
export type { StagedVfioOffer } from "./staged.ts";
export type { ConfigOrder, DriverHost, PreCopyInfo, VendorDriver } from "./vendor-driver.ts";
export { type VfioWalker, type VfioWalkerInit, vfioWalker } from "./walker.ts";
