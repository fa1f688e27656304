import { type KernelForPlugins, u8, varray, vmstate } from "@godwit/core";

const uart = vmstate({
  name: "uart",
  version: 1,
  fields: { lcr: u8, fifo_count: u8, fifo: varray("fifo_count", u8) },
});

export class Uart {
  lcr = 0;
  fifo: number[] = [];
  constructor(kernel: KernelForPlugins) {
    kernel.device(uart, {
      save: () => ({ lcr: this.lcr, fifo_count: this.fifo.length, fifo: Uint8Array.from(this.fifo) }),
      load: (state) => Object.assign(this, { lcr: state.lcr, fifo: [...state.fifo] }),
    });
  }
}
