// The sections of one connector. Source: wire reference 16.2; QEMU: SpaprDrc, SpaprDrcPhysical.
import { bool, checked, type StateOf, subsection, u32, vmstate } from "@godwit/core";
import { indicatorAtRest } from "../connector.ts";
import { drcState } from "../drc-state.ts";

/**
 * Section `spapr_drc`, its instance being the connector's index. It is sent where something is attached that is not
 * configured, or is to leave; a state of 0 (INVALID) means that it is not: the connector is as it rests.
 */
export const drc = vmstate({
  name: "spapr_drc",
  version: 1,
  fields: { state: checked(u32, (state) => state !== drcState.INVALID, "a state that travels") },
  subsections: {
    unplugRequested: subsection({
      name: "spapr_drc/unplug_requested",
      version: 1,
      fields: { unplug_requested: bool },
      needed: ({ unplug_requested }) => unplug_requested,
      absent: { unplug_requested: false },
    }),
  },
  needed: ({ state }) => state !== drcState.INVALID,
  absent: { state: drcState.INVALID, unplugRequested: { unplug_requested: false } },
});
export type DrcState = StateOf<typeof drc>;

/**
 * Section `spapr_drc/physical`: the light of a physical connector. At rest it is lit where something is attached, and
 * then not sent: 0xffffffff.
 */
export const drcPhysical = vmstate({
  name: "spapr_drc/physical",
  version: 1,
  fields: { dr_indicator: checked(u32, (value) => value !== indicatorAtRest, "a value of the indicator") },
  needed: ({ dr_indicator }) => dr_indicator !== indicatorAtRest,
  absent: { dr_indicator: indicatorAtRest },
});
export type DrcPhysicalState = StateOf<typeof drcPhysical>;
