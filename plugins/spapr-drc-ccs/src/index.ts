// @godwit/spapr-drc-ccs: sPAPR dynamic-reconfiguration connectors, and the sections of a pseries machine.
export { workAreaBytes } from "./configure.ts";
export { type DrcType, drcIndex, drcType } from "./drc-index.ts";
export { drcState } from "./drc-state.ts";
export { type EventLogEntry, type HotplugEvent, type HotplugTarget, hotplugLog } from "./event-log.ts";
export { eventMask, type HotplugSource } from "./events.ts";
export {
  drcFamily,
  drcPhysicalFamily,
  spaprFamilies,
  spaprFamily,
} from "./families.ts";
export { buildFdt, cells, type FdtNode, strings } from "./fdt/build.ts";
export { type DeviceTree, deviceTree, type FdtPosition } from "./fdt/tree.ts";
export type { GuestMemory } from "./memory.ts";
export { spaprErrorCodes } from "./mismatch.ts";
export { type Platform, type PlatformState, plainPlatform, platformState } from "./platform.ts";
export { type ConnectorView, type SpaprDrcOffer, type SpaprDrcOptions, spaprDrc } from "./plugin.ts";
export type { RtasCall } from "./rtas.ts";
export { configureStatus, drSensor, entitySense, rtasStatus } from "./rtas-status.ts";
export type { SpaprCapability } from "./sections/capabilities.ts";
export { type CcsListState, type CcsState, ccs, ccsList } from "./sections/ccs.ts";
export { type DrcPhysicalState, type DrcState, drc, drcPhysical } from "./sections/connector.ts";
export { eventLogEntry, type PendingEventsState } from "./sections/pending-events.ts";
export { type PhbParameters, phbFamily, phbSection } from "./sections/phb.ts";
export {
  type SpaprDescription,
  type SpaprDialect,
  type SpaprParameters,
  type SpaprState,
  spaprSection,
  spaprStandard,
} from "./sections/spapr.ts";
export { type TceTableParameters, tceTableFamily, tceTableSection } from "./sections/tce-table.ts";
export { nvram, nvramFamily, rtc, rtcFamily, type VioParameters, vtyFamily, vtySection } from "./sections/vio.ts";
export { type IcsParameters, icp, icpFamily, icsFamily, icsSection } from "./sections/xics.ts";
export {
  type SpaprXiveParameters,
  spaprXiveFamily,
  spaprXiveSection,
  type XiveSourceParameters,
  xiveSourceFamily,
  xiveSourceSection,
  xiveTctx,
  xiveTctxFamily,
} from "./sections/xive.ts";
