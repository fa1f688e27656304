// The configure-connector list: how far guests have walked connectors' device trees.
// Source: wire reference 16.5, a patch of April 2017 that QEMU did not merge.
import { i32, type Subsection, subsection, u32, vmstate } from "@godwit/core";
import { qtailq } from "@godwit/qtailq-codec";

/**
 * One walk that is under way. `fdt_offset` is where the next token stands in the structure block of the connector's
 * tree, in bytes; `fdt_depth` is how many of its nodes are open there.
 */
export const ccs = vmstate({
  name: "spaprconfigureconnectorstate",
  version: 1,
  fields: { drc_index: u32, fdt_offset: i32, fdt_depth: i32 },
});

export interface CcsState {
  drc_index: number;
  fdt_offset: number;
  fdt_depth: number;
}
export interface CcsListState {
  ccs_list: CcsState[];
}

export const ccsList: Subsection<CcsListState> = subsection({
  name: "spaprccslist",
  version: 1,
  fields: { ccs_list: qtailq(ccs) },
  needed: ({ ccs_list }) => ccs_list.length > 0,
  absent: { ccs_list: [] },
});
