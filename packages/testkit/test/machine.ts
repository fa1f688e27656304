// A machine of two devices, for tests of what the kit builds and spoils.
import { createKernel, type Kernel, subsection, u8, u32, varray, virtualClock, vmstate } from "@godwit/core";

export const uart = vmstate({
  name: "uart",
  version: 2,
  minimumVersion: 1,
  fields: { count: u8, fifo: varray("count", u8), divisor: u32 },
  subsections: {
    timeout: subsection({
      name: "uart/timeout",
      version: 1,
      fields: { ticks: u32 },
      needed: (own) => own.ticks > 0,
      absent: { ticks: 0 },
    }),
  },
});
export const pic = vmstate({ name: "pic", version: 1, fields: { pending: u32 } });

export function machine(): Kernel {
  return createKernel({
    machineType: "two-devices",
    machine: { pause: () => undefined, resume: () => undefined, reset: () => undefined },
    clock: virtualClock(() => 0n),
  });
}

export interface TwoDevices {
  readonly kernel: Kernel;
  uart: { count: number; fifo: Uint8Array; divisor: number; timeout: { ticks: number } };
  pic: { pending: number };
}

export function twoDevices(): TwoDevices {
  const devices: TwoDevices = {
    kernel: machine(),
    uart: { count: 2, fifo: Uint8Array.of(7, 9), divisor: 115, timeout: { ticks: 3 } },
    pic: { pending: 5 },
  };
  devices.kernel.device(uart, {
    instance: 0,
    save: () => devices.uart,
    load(state) {
      devices.uart = state;
    },
  });
  devices.kernel.device(pic, {
    instance: 1,
    save: () => devices.pic,
    load(state) {
      devices.pic = state;
    },
  });
  return devices;
}

export async function saved(kernel: Kernel): Promise<Uint8Array> {
  const bytes: number[] = [];
  for await (const chunk of kernel.save()) for (const byte of chunk) bytes.push(byte);
  return Uint8Array.from(bytes);
}

/** The code of what it throws or rejects with; "none" where it does not. */
export async function codeOf(run: () => unknown): Promise<unknown> {
  try {
    await run();
    return "none";
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}
