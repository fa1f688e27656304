import {
  array,
  capture,
  type KernelForPlugins,
  restore,
  type StateOf,
  since,
  struct,
  subsection,
  u8,
  u16,
  u32,
  unused,
  varray,
  vmstate,
} from "@godwit/core";

const channel = vmstate({ name: "irqchip-channel", version: 1, fields: { level: u8, fifo: array(u8, 16) } });

const irqchip = vmstate({
  name: "irqchip",
  version: 2,
  minimumVersion: 1,
  fields: {
    pending: u32,
    count: u8,
    levels: varray("count", u16),
    mode: since(2, u8, { absent: 0 }), // version 1 did not have it
    _reserved: unused(3), // bytes without meaning: keys with "_" are in no state
    channels: array(struct(channel), 2),
  },
  subsections: {
    // Travels only while it matters, so that older machines load the stream as long as it does not.
    boost: subsection({
      name: "irqchip/boost",
      version: 1,
      fields: { level: u32 },
      needed: (own) => own.level !== 0,
      absent: { level: 0 },
    }),
  },
});
export type IrqchipState = StateOf<typeof irqchip>; // { pending: number; count: number; levels: Uint16Array; … }

class Channel {
  level = 0;
  readonly fifo = new Uint8Array(16);
  readonly owner: Irqchip; // what the description does not name stays out of it
  constructor(owner: Irqchip) {
    this.owner = owner;
  }
}

export class Irqchip {
  pending = 0;
  levels = new Uint16Array(0);
  mode = 0;
  readonly channels = [new Channel(this), new Channel(this)];
  readonly boost = { level: 0 };
  get count() {
    return this.levels.length;
  }
  constructor(kernel: KernelForPlugins) {
    kernel.device(irqchip, {
      save: () => capture(irqchip, this), // a class that lacks or mistypes a described field does not compile
      load: (state) => restore(irqchip, this, state),
    });
  }
}
