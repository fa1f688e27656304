// Two small register files that v86's own saves lose, or lose a part of: port 0x92 and the firmware's configuration port.
import { type Description, type KernelForPlugins, u8, u32, vbuffer, vmstate } from "@godwit/core";
import type { V86Cpu } from "../emulator/v86-objects.ts";

const port = 0x92;

export const port92: Description<{ outport: number }> = vmstate({
  name: "port92",
  version: 1,
  fields: { outport: u8 },
});

/** v86 keeps the byte in a closure; its port is the only way to it. */
export function port92Device(kernel: KernelForPlugins, { io }: V86Cpu): void {
  kernel.device(port92, {
    save: () => ({ outport: io.port_read8(port) }),
    load: ({ outport }) => io.port_write8(port, outport),
  });
}

export interface FwCfgState {
  /** The selected item, and how much of it was read. */
  cur_offset: number;
  value_size: number;
  value: Uint8Array;
}

export const fwCfg: Description<FwCfgState> = vmstate({
  name: "fw_cfg",
  version: 1,
  fields: { cur_offset: u32, value_size: u32, value: vbuffer("value_size", { max: 64 * 1024 }) },
});

export function fwCfgDevice(kernel: KernelForPlugins, cpu: V86Cpu): void {
  kernel.device(fwCfg, {
    save: () => ({
      cur_offset: cpu.fw_pointer,
      value_size: cpu.fw_value.length,
      value: Uint8Array.from(cpu.fw_value),
    }),
    load: ({ cur_offset, value }) => {
      cpu.fw_pointer = cur_offset;
      cpu.fw_value = value;
    },
  });
}
