import { capture, type KernelForPlugins, restore, u8, varray, vmstate } from "@godwit/core";

const uart = vmstate({
  name: "uart",
  version: 1,
  fields: { lcr: u8, fifo_count: u8, fifo: varray("fifo_count", u8) },
});

export class Uart {
  lcr = 0;
  fifo = new Uint8Array(0);
  get fifo_count() {
    return this.fifo.length;
  }
  constructor(kernel: KernelForPlugins) {
    kernel.device(uart, { save: () => capture(uart, this), load: (state) => restore(uart, this, state) });
  }
}
