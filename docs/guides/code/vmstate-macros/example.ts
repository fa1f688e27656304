import {
  array,
  encodeState,
  equal,
  type StateOf,
  since,
  subsection,
  timer,
  u8,
  u16,
  u32,
  unused,
  varray,
  vmstate,
} from "@godwit/core";

// #region example
export const uart = vmstate({
  name: "uart",
  version: 2, // .version_id
  minimumVersion: 1, // .minimum_version_id
  fields: {
    divider: u16, // VMSTATE_UINT16
    lcr: u8, // VMSTATE_UINT8
    _reserved: unused(1), // VMSTATE_UNUSED
    channels: equal(u8, 2), // VMSTATE_UINT8_EQUAL
    fifo_count: u8, // VMSTATE_UINT8
    fifo: varray("fifo_count", u8), // VMSTATE_VARRAY_UINT8
    irq: array(u32, 2), // VMSTATE_UINT32_ARRAY
    timeout_at: since(2, timer, { absent: null }), // VMSTATE_TIMER_PTR_V
  },
  subsections: {
    loopback: subsection({
      name: "uart/loopback",
      version: 1,
      fields: { mcr: u8 },
      needed: (own) => own.mcr !== 0, // .needed
      absent: { mcr: 0 }, // what it is when it does not come
    }),
  },
});
export type UartState = StateOf<typeof uart>;
// #endregion

const state: UartState = {
  divider: 12,
  lcr: 3,
  channels: 2,
  fifo_count: 2,
  fifo: Uint8Array.of(72, 105),
  irq: Uint32Array.of(4, 3),
  timeout_at: null,
  loopback: { mcr: 0 },
};
const bytes = encodeState(uart, state);
const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
console.log(hex);
if (hex !== "00 0c 03 00 02 02 48 69 00 00 00 04 00 00 00 03 ff ff ff ff ff ff ff ff") throw new Error("other bytes");
