import { type Description, decodeState, encodeState, i32, u8, u32, vmstate } from "@godwit/core";
import { gtree, qtailq } from "@godwit/qtailq-codec";

const ccs = vmstate({
  name: "spaprconfigureconnectorstate",
  version: 1,
  fields: { drc_index: u32, fdt_offset: i32, fdt_depth: i32 },
});

/** A list that holds its own kind: its element is named late, and its type said. */
interface Bus {
  id: number;
  children: Bus[];
}
const bus: Description<Bus> = vmstate({
  name: "bus",
  version: 1,
  fields: { id: u8, children: qtailq<Bus>(() => bus) },
});

export const machine = vmstate({
  name: "machine",
  version: 1,
  fields: {
    ccs_list: qtailq(ccs),
    mappings: gtree({ key: "direct", value: ccs }),
    buses: qtailq(bus),
  },
});

export function example() {
  const bytes = encodeState(machine, {
    ccs_list: [{ drc_index: 0x4000_0010, fdt_offset: 24, fdt_depth: 1 }],
    mappings: [],
    buses: [{ id: 1, children: [{ id: 2, children: [] }] }],
  });
  return { bytes, state: decodeState(machine, bytes) };
}
