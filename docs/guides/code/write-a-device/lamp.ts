// The smallest device: two fields.
import { bool, capture, type KernelForPlugins, restore, u8, vmstate } from "@godwit/core";

export const lamp = vmstate({ name: "lamp", version: 1, fields: { lit: bool, brightness: u8 } });

export class Lamp {
  lit = false;
  brightness = 0;
  constructor(kernel: KernelForPlugins) {
    kernel.device(lamp, { save: () => capture(lamp, this), load: (state) => restore(lamp, this, state) });
  }
}
