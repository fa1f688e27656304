// The 8237 DMA controllers. Here the emulator's object has the shape of the state: it is captured as it is.
import {
  array,
  capture,
  type Description,
  type KernelForPlugins,
  range,
  restore,
  u8,
  u16,
  vmstate,
} from "@godwit/core";

export interface DmaState {
  channel_page: Uint8Array;
  channel_pagehi: Uint8Array;
  channel_addr: Uint16Array;
  channel_addr_init: Uint16Array;
  channel_count: Uint16Array;
  channel_count_init: Uint16Array;
  channel_mask: Uint8Array;
  channel_mode: Uint8Array;
  lsb_msb_flipflop: number;
}

const channels = 8;

export const dma: Description<DmaState> = vmstate({
  name: "dma",
  version: 1,
  fields: {
    channel_page: array(u8, channels),
    channel_pagehi: array(u8, channels),
    channel_addr: array(u16, channels),
    channel_addr_init: array(u16, channels),
    channel_count: array(u16, channels),
    channel_count_init: array(u16, channels),
    channel_mask: array(u8, channels),
    channel_mode: array(u8, channels),
    lsb_msb_flipflop: range(u8, 0, 1),
  },
});

/** `controller` is v86's own: its members have the described names. */
export function dmaDevice(kernel: KernelForPlugins, controller: DmaState): void {
  kernel.device(dma, {
    save: () => capture(dma, controller),
    load: (state) => restore(dma, controller, state),
  });
}
