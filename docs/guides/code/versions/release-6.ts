// Release 6: the clock has an alarm, and the UART a FIFO that is seldom in use.
import { former, i64, type Kernel, since, subsection, timer, u8, u16, varray, vmstate } from "@godwit/core";
import { computerKernel, described } from "../../../../packages/core/examples/releases/computer.ts";
import { clockChip, lightPen } from "../../../../packages/core/examples/releases/history.ts";
import { Ram } from "../../../../packages/core/examples/releases/release-1.ts";
import { Modem } from "../../../../packages/core/examples/releases/release-2.ts";
import { Slots } from "../../../../packages/core/examples/releases/release-3.ts";
import { Audio, TapeDeck } from "../../../../packages/core/examples/releases/release-4.ts";
import { Input, Network } from "../../../../packages/core/examples/releases/release-5.ts";

// #region rtc
export const rtc = vmstate({
  name: "rtc",
  version: 2,
  minimumVersion: 1,
  fields: { now_ns: i64, control: u8, alarm_at: since(2, timer, { absent: null }) },
});
// #endregion

// #region uart
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
    fifo: subsection({
      name: "uart/fifo",
      version: 1,
      fields: { count: u8, bytes: varray("count", u8) },
      needed: (own) => own.count !== 0,
      absent: { count: 0, bytes: new Uint8Array(0) },
    }),
  },
});
// #endregion

export class Rtc {
  now_ns = 0n;
  control = 0;
  alarm_at: bigint | null = null;
  constructor(kernel: Kernel) {
    // #region formerly
    kernel.device(rtc, {
      formerly: [
        former(clockChip, {
          convert: ({ seconds, control }) => ({
            now_ns: BigInt(seconds) * 1_000_000_000n,
            control,
            alarm_at: null,
          }),
        }),
      ],
      ...described(rtc, this),
    });
    // #endregion
  }
}

export class Uart {
  line_control = 0;
  divisor = 0;
  readonly timeout = { ticks: 0 };
  readonly fifo = { count: 0, bytes: new Uint8Array(0) };
  constructor(kernel: Kernel) {
    kernel.device(uart, { formerly: ["serial"], ...described(uart, this) });
  }
}

export function computer6(hostNow: () => bigint) {
  const kernel = computerKernel("6.0.0", hostNow);
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
