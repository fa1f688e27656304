// The devices beside disk and network card: what stands behind them, and what the host can do about them.
import type { VirtioBalloonModel } from "@godwit/virtio-balloon";
import type { SerialPort, SerialPortOptions } from "@godwit/virtio-console";
import type { EntropyBackend } from "@godwit/virtio-rng";
import type { ScsiBackend } from "@godwit/virtio-scsi";
import type { Platform } from "../machine/platform.ts";
import { RAM_BASE } from "../memory-map.ts";

export interface PeripheralOptions {
  readonly scsiDisk: ScsiBackend;
  readonly entropy: EntropyBackend;
  /** Takes what the guest sends by the serial port, and says how many bytes; the rest waits for `serial.drained()`. */
  readonly serialOut: (bytes: Uint8Array) => number;
}

/** What the accelerator has done; live. */
export interface AcceleratorView {
  readonly jobs: bigint;
  readonly checksum: number;
  memory(): Uint8Array;
}

export interface Peripherals {
  readonly balloon: Pick<VirtioBalloonModel, "actual" | "target" | "setTarget">;
  readonly serial: SerialPort;
  readonly accelerator?: AcceleratorView;
}

/** For the balloon: what it gives up reads as zeros. What is no RAM is left alone. */
export function discardIn({ memory, ram }: Platform): (gpa: number, length: number) => void {
  return (gpa, length) => {
    if (gpa < RAM_BASE || gpa + length > RAM_BASE + ram().byteLength) return;
    memory.memory.write(gpa, new Uint8Array(length));
  };
}

/** The one port that the guest knows how to use. */
export function serialPort({ serialOut }: PeripheralOptions): SerialPortOptions {
  return { id: 1, name: "godwit.lines", write: serialOut };
}

/** The serial port's ids are 0 (a console, which this machine does not have) and 1. */
export const serialPorts = 2;
