// Release 1 of the home computer.
import { bool, buffer, type Kernel, u8, u16, u32, vmstate } from "@godwit/core";
import { computerKernel, described } from "./computer.ts";
import { joystick, keyboard, lightPen, sound, tape } from "./history.ts";

const ram = vmstate({ name: "ram", version: 1, fields: { bytes: buffer(64) } });

export class Ram {
  readonly bytes = new Uint8Array(64);
  constructor(kernel: Kernel) {
    kernel.device(ram, described(ram, this));
  }
}

const serial = vmstate({ name: "serial", version: 1, fields: { line_control: u8, divisor: u16 } });

class Serial {
  line_control = 0;
  divisor = 0;
  constructor(kernel: Kernel) {
    kernel.device(serial, described(serial, this));
  }
}

const clockChip = vmstate({ name: "clock-chip", version: 1, fields: { seconds: u32, control: u8, century: u8 } });

export class ClockChip {
  seconds = 0;
  control = 0;
  century = 19;
  constructor(kernel: Kernel) {
    kernel.device(clockChip, described(clockChip, this));
  }
}

export class Sound {
  readonly tone = new Uint16Array(3);
  noise = 0;
  readonly volume = new Uint8Array(4);
  constructor(kernel: Kernel) {
    kernel.device(sound, described(sound, this));
  }
}

export class Tape {
  position = 0;
  motor = false;
  constructor(kernel: Kernel) {
    kernel.device(tape, described(tape, this));
  }
}

export class Keyboard {
  readonly matrix = new Uint8Array(8);
  latch = 0;
  constructor(kernel: Kernel) {
    kernel.device(keyboard, described(keyboard, this));
  }
}

export class Joystick {
  port_a = 0;
  port_b = 0;
  constructor(kernel: Kernel) {
    kernel.device(joystick, described(joystick, this));
  }
}

export class LightPen {
  x = 0;
  y = 0;
  constructor(kernel: Kernel) {
    kernel.device(lightPen, described(lightPen, this));
  }
}

const modem = vmstate({
  name: "modem",
  version: 1,
  fields: { online: bool, dialled: u32 },
  needed: (state) => state.online || state.dialled !== 0,
  absent: { online: false, dialled: 0 },
});

class Modem {
  online = false;
  dialled = 0;
  constructor(kernel: Kernel) {
    kernel.device(modem, described(modem, this));
  }
}

export function computer1(hostNow: () => bigint) {
  const kernel = computerKernel("1.0.0", hostNow);
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
