// The 16550: QEMU's names for its registers. What waits to be read is a part of the state, and v86's own saves lose it.
import {
  capture,
  type Description,
  type KernelForPlugins,
  restore,
  subsection,
  u8,
  u16,
  u32,
  varray,
  vmstate,
} from "@godwit/core";
import type { V86Serial } from "../emulator/v86-objects.ts";
import { accessors, property } from "./accessors.ts";

/** The receive buffer of v86 has no end; a stream must not decide how much is allocated. */
const receivedMax = 64 * 1024;

export interface SerialState {
  divider: number;
  ier: number;
  iir: number;
  lcr: number;
  mcr: number;
  lsr: number;
  msr: number;
  scr: number;
  fcr: number;
  /** Pending interrupts: bit 0 modem status, 2 transmitter empty, 4 data received, 12 receive timeout. */
  ints: number;
  recv_fifo: { count: number; data: Uint8Array };
}

export const serial: Description<SerialState> = vmstate({
  name: "serial",
  version: 1,
  fields: { divider: u16, ier: u8, iir: u8, lcr: u8, mcr: u8, lsr: u8, msr: u8, scr: u8, fcr: u8, ints: u16 },
  subsections: {
    recv_fifo: subsection({
      name: "serial/recv_fifo",
      version: 1,
      fields: { count: u32, data: varray("count", u8, { max: receivedMax }) },
      needed: (own) => own.count > 0,
      absent: { count: 0, data: new Uint8Array(0) },
    }),
  },
});

/** v86's port under QEMU's names. */
function registersOf(port: V86Serial): SerialState {
  return accessors<SerialState>({
    divider: property(port, "baud_rate"),
    ier: property(port, "ier"),
    iir: property(port, "iir"),
    lcr: property(port, "line_control"),
    mcr: property(port, "modem_control"),
    lsr: property(port, "lsr"),
    msr: property(port, "modem_status"),
    scr: property(port, "scratch_register"),
    fcr: property(port, "fifo_control"),
    ints: property(port, "ints"),
    recv_fifo: {
      get: () => ({ count: port.input.length, data: Uint8Array.from(port.input) }),
      set: ({ data }) => {
        port.input = [...data];
      },
    },
  });
}

export function serialDevice(kernel: KernelForPlugins, instance: number, port: V86Serial): void {
  const registers = registersOf(port);
  kernel.device(serial, {
    instance,
    after: ["i8259"],
    save: () => capture(serial, registers),
    load: (state) => restore(serial, registers, state),
  });
}
