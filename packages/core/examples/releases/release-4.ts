// Release 4: the sound chip has become two, and the tape deck a part of the front end.
import { array, type Kernel, type Registration, type StateOf, u8, u16, vmstate } from "@godwit/core";
import { computerKernel, described } from "./computer.ts";
import { sound, tape } from "./history.ts";
import { Joystick, Keyboard, LightPen, Ram } from "./release-1.ts";
import { Modem } from "./release-2.ts";
import { ClockChip, Slots, Uart } from "./release-3.ts";

const psg = vmstate({ name: "psg", version: 1, fields: { tone: array(u16, 3), noise: u8 } });
const mixer = vmstate({ name: "mixer", version: 1, fields: { left: array(u8, 4), right: array(u8, 4) } });

class Psg {
  readonly tone = new Uint16Array(3);
  noise = 0;
  readonly registration: Registration<StateOf<typeof psg>>;
  constructor(kernel: Kernel) {
    this.registration = kernel.device(psg, described(psg, this));
  }
}

class Mixer {
  readonly left = new Uint8Array(4);
  readonly right = new Uint8Array(4);
  readonly registration: Registration<StateOf<typeof mixer>>;
  constructor(kernel: Kernel) {
    this.registration = kernel.device(mixer, described(mixer, this));
  }
}

/** What came of the sound chip. */
export class Audio {
  readonly psg: Psg;
  readonly mixer: Mixer;
  constructor(kernel: Kernel) {
    this.psg = new Psg(kernel);
    this.mixer = new Mixer(kernel);
    kernel.split(sound, {
      into: { psg: this.psg.registration, mixer: this.mixer.registration },
      convert: ({ tone, noise, volume }) => ({
        psg: { tone, noise },
        mixer: { left: volume, right: volume },
      }),
    });
  }
}

/** The tape deck of the front end. It is no device: what a save of an earlier release knows of it is handed on. */
export class TapeDeck {
  position = 0;
  motor = false;
  constructor(kernel: Kernel) {
    kernel.retired(tape, {
      handOn: ({ position, motor }) => {
        const before = { position: this.position, motor: this.motor };
        Object.assign(this, { position, motor });
        return () => Object.assign(this, before);
      },
    });
  }
}

export function computer4(hostNow: () => bigint) {
  const kernel = computerKernel("4.0.0", hostNow);
  return {
    kernel,
    ram: new Ram(kernel),
    uart: new Uart(kernel),
    clockChip: new ClockChip(kernel),
    audio: new Audio(kernel),
    tapeDeck: new TapeDeck(kernel),
    keyboard: new Keyboard(kernel),
    joystick: new Joystick(kernel),
    lightPen: new LightPen(kernel),
    modem: new Modem(kernel),
    slots: new Slots(kernel),
  };
}
