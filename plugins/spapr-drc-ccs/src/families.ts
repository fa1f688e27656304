// The sections of a pseries machine, for tools that have no machine.
import { family, familyOf } from "@godwit/core";
import { drc, drcPhysical } from "./sections/connector.ts";
import { inferSpapr } from "./sections/infer-spapr.ts";
import { phbFamily } from "./sections/phb.ts";
import { spaprSection } from "./sections/spapr.ts";
import { tceTableFamily } from "./sections/tce-table.ts";
import { nvramFamily, rtcFamily, vtyFamily } from "./sections/vio.ts";
import { icpFamily, icsFamily } from "./sections/xics.ts";
import { spaprXiveFamily, xiveSourceFamily, xiveTctxFamily } from "./sections/xive.ts";

export const spaprFamily = family({ name: "spapr", build: spaprSection, infer: inferSpapr });
export const drcFamily = familyOf(drc);
export const drcPhysicalFamily = familyOf(drcPhysical);

/** All of them. A path may stand before the names of devices on a bus. */
export const spaprFamilies = [
  spaprFamily,
  drcFamily,
  drcPhysicalFamily,
  phbFamily,
  tceTableFamily,
  icsFamily,
  icpFamily,
  xiveSourceFamily,
  spaprXiveFamily,
  xiveTctxFamily,
  rtcFamily,
  nvramFamily,
  vtyFamily,
] as const;
