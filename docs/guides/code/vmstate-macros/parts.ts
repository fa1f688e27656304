// Descriptions that the rows nest.
import { i32, since, u8, u16, u32, vmstate } from "@godwit/core";

export const point = vmstate({ name: "point", version: 1, fields: { x: u16, y: u16 } });

export const origin = { x: 0, y: 0 };

/** In version 2 a point has a colour. */
export const spot = vmstate({
  name: "spot",
  version: 2,
  minimumVersion: 1,
  fields: { x: u16, y: u16, colour: since(2, u8, { absent: 0 }) },
});

/** How a temperature stands on the wire: in tenths. */
export const tenths = vmstate({ name: "tenths", version: 0, fields: { value: i32 } });

export const page = vmstate({ name: "page", version: 1, fields: { at: u32 } });
