// Release 2: the serial port has a receive timeout, and the modem a speed.
import { bool, type Kernel, since, subsection, u8, u16, u32, vmstate } from "@godwit/core";
import { computerKernel, described } from "./computer.ts";
import { ClockChip, Joystick, Keyboard, LightPen, Ram, Sound, Tape } from "./release-1.ts";

const serial = vmstate({
  name: "serial",
  version: 1,
  fields: { line_control: u8, divisor: u16 },
  subsections: {
    timeout: subsection({
      name: "serial/timeout",
      version: 1,
      fields: { ticks: u16 },
      needed: (own) => own.ticks !== 0,
      absent: { ticks: 0 },
    }),
  },
});

class Serial {
  line_control = 0;
  divisor = 0;
  readonly timeout = { ticks: 0 };
  constructor(kernel: Kernel) {
    kernel.device(serial, described(serial, this));
  }
}

const modem = vmstate({
  name: "modem",
  version: 2,
  minimumVersion: 1,
  fields: { online: bool, dialled: u32, baud: since(2, u16, { absent: 300 }) },
  needed: (state) => state.online || state.dialled !== 0 || state.baud !== 300,
  absent: { online: false, dialled: 0, baud: 300 },
});

export class Modem {
  online = false;
  dialled = 0;
  baud = 300;
  constructor(kernel: Kernel) {
    kernel.device(modem, described(modem, this));
  }
}

export function computer2(hostNow: () => bigint) {
  const kernel = computerKernel("2.0.0", hostNow);
  return {
    kernel,
    ram: new Ram(kernel),
    serial: new Serial(kernel),
    clockChip: new ClockChip(kernel),
    sound: new Sound(kernel),
    tape: new Tape(kernel),
    keyboard: new Keyboard(kernel),
    joystick: new Joystick(kernel),
    lightPen: new LightPen(kernel),
    modem: new Modem(kernel),
  };
}
