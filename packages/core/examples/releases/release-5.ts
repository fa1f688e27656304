// Release 5: one input chip for keyboard and joystick, a clock that counts nanoseconds, no light pen, and a network.
import { array, bool, buffer, former, i64, type Kernel, u8, vmstate } from "@godwit/core";
import { computerKernel, described } from "./computer.ts";
import { clockChip, joystick, keyboard, lightPen } from "./history.ts";
import { Ram } from "./release-1.ts";
import { Modem } from "./release-2.ts";
import { Slots, Uart } from "./release-3.ts";
import { Audio, TapeDeck } from "./release-4.ts";

const rtc = vmstate({ name: "rtc", version: 1, fields: { now_ns: i64, control: u8 } });

class Rtc {
  now_ns = 0n;
  control = 0;
  constructor(kernel: Kernel) {
    kernel.device(rtc, {
      formerly: [
        former(clockChip, {
          convert: ({ seconds, control }) => ({ now_ns: BigInt(seconds) * 1_000_000_000n, control }),
        }),
      ],
      ...described(rtc, this),
    });
  }
}

const input = vmstate({ name: "input", version: 1, fields: { matrix: array(u8, 8), latch: u8, ports: array(u8, 2) } });

export class Input {
  readonly matrix = new Uint8Array(8);
  latch = 0;
  readonly ports = new Uint8Array(2);
  constructor(kernel: Kernel) {
    const registration = kernel.device(input, described(input, this));
    kernel.merged(registration, {
      from: { keys: { description: keyboard }, sticks: { description: joystick } },
      convert: ({ keys, sticks }) => ({ ...keys, ports: Uint8Array.of(sticks.port_a, sticks.port_b) }),
    });
  }
}

const network = vmstate({
  name: "network",
  version: 1,
  fields: { link: bool, address: buffer(6) },
  needed: (state) => state.link || state.address.some((byte) => byte !== 0),
  absent: { link: false, address: new Uint8Array(6) },
});

export class Network {
  link = false;
  readonly address = new Uint8Array(6);
  constructor(kernel: Kernel) {
    kernel.device(network, described(network, this));
  }
}

export function computer5(hostNow: () => bigint) {
  const kernel = computerKernel("5.0.0", hostNow);
  kernel.retired(lightPen);
  return {
    kernel,
    ram: new Ram(kernel),
    uart: new Uart(kernel),
    rtc: new Rtc(kernel),
    audio: new Audio(kernel),
    tapeDeck: new TapeDeck(kernel),
    input: new Input(kernel),
    modem: new Modem(kernel),
    network: new Network(kernel),
    slots: new Slots(kernel),
  };
}
