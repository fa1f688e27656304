import { capture, type KernelForPlugins, restore, type StateOf, u32, vmstate } from "@godwit/core";
import { qtailq } from "@godwit/qtailq-codec";

const reading = vmstate({ name: "thermometer/reading", version: 1, fields: { seconds: u32, millikelvin: u32 } });
const thermometer = vmstate({ name: "thermometer", version: 1, fields: { limit: u32, readings: qtailq(reading) } });

export class Thermometer {
  limit = 300_000;
  readings: StateOf<typeof reading>[] = [];
  constructor(kernel: KernelForPlugins) {
    kernel.device(thermometer, {
      save: () => capture(thermometer, this),
      load: (state) => restore(thermometer, this, state),
    });
  }
  measure(seconds: number, millikelvin: number) {
    this.readings = [...this.readings.slice(-4), { seconds, millikelvin: Math.min(millikelvin, this.limit) }];
  }
}
