// Release 3: the serial port is a UART now, the clock chip has lost a register, and cartridges can be inserted.
import { buffer, type Kernel, type Registration, subsection, u8, u16, vmstate } from "@godwit/core";
import { computerKernel, described } from "./computer.ts";
import { clockChip } from "./history.ts";
import { Joystick, Keyboard, LightPen, Ram, Sound, Tape } from "./release-1.ts";
import { Modem } from "./release-2.ts";

const uart = vmstate({
  name: "uart",
  version: 1,
  fields: { line_control: u8, divisor: u16 },
  subsections: {
    timeout: subsection({
      name: "uart/timeout",
      version: 1,
      fields: { ticks: u16 },
      needed: (own) => own.ticks !== 0,
      absent: { ticks: 0 },
    }),
  },
});

export class Uart {
  line_control = 0;
  divisor = 0;
  readonly timeout = { ticks: 0 };
  constructor(kernel: Kernel) {
    kernel.device(uart, { formerly: ["serial"], ...described(uart, this) });
  }
}

export class ClockChip {
  seconds = 0;
  control = 0;
  /** Always 0 since release 3: the description still reads it from older saves, and nobody looks at it. */
  century = 0;
  constructor(kernel: Kernel) {
    const { save, load } = described(clockChip, this);
    kernel.device(clockChip, { save, load: (state) => load({ ...state, century: 0 }) });
  }
}

const cartridge = vmstate({ name: "cartridge", version: 1, fields: { bank: u8, battery_ram: buffer(8) } });

export class Cartridge {
  bank = 0;
  readonly battery_ram = new Uint8Array(8);
}

/** The slots of the computer. A save says which of them are full. */
export class Slots {
  readonly inserted = new Map<string, Cartridge>();
  readonly #registrations = new Map<string, Registration>();
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    kernel.kind(cartridge, (idstr) => {
      const slot = idstr.slice(0, idstr.lastIndexOf("/"));
      const made = new Cartridge();
      return {
        ...described(cartridge, made),
        plugged: (registration) => this.#enter(slot, made, registration),
        unplugged: () => this.#leave(slot),
      };
    });
  }

  /** `slot` is the cartridge's place, such as `slot-1`. */
  insert(slot: string): Cartridge {
    const made = new Cartridge();
    this.#enter(slot, made, this.#kernel.device(cartridge, { path: slot, ...described(cartridge, made) }));
    return made;
  }

  eject(slot: string): void {
    this.#registrations.get(slot)?.remove();
    this.#leave(slot);
  }

  #enter(slot: string, made: Cartridge, registration: Registration): void {
    this.inserted.set(slot, made);
    this.#registrations.set(slot, registration);
  }

  #leave(slot: string): void {
    this.inserted.delete(slot);
    this.#registrations.delete(slot);
  }
}

export function computer3(hostNow: () => bigint) {
  const kernel = computerKernel("3.0.0", hostNow);
  return {
    kernel,
    ram: new Ram(kernel),
    uart: new Uart(kernel),
    clockChip: new ClockChip(kernel),
    sound: new Sound(kernel),
    tape: new Tape(kernel),
    keyboard: new Keyboard(kernel),
    joystick: new Joystick(kernel),
    lightPen: new LightPen(kernel),
    modem: new Modem(kernel),
    slots: new Slots(kernel),
  };
}
