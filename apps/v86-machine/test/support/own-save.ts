/** v86's own saves: a machine without Godwit, and the format taken apart. */
import { virtualClock } from "@godwit/core";
import { type Emulator, startEmulator } from "../../src/emulator/emulator.ts";
import { bootDisk } from "../../src/guest/boot-disk.ts";
import type { Seabios } from "../../src/host/seabios.ts";
import type { V86Machine } from "../../src/machine.ts";
import { whileTesting } from "./machines.ts";

export interface PlainMachine extends Emulator {
  sent(): string;
  destroy(): Promise<void>;
}

/** v86 on a clock that has just begun to run, as in a process of its own. */
export async function plainMachine(
  seabios: Seabios,
  options: { readonly ramBytes?: number; readonly secondSerial?: boolean } = {},
): Promise<PlainMachine> {
  const clock = virtualClock(() => BigInt(Math.round(performance.now() * 1e6)));
  clock.start();
  const emulator = await startEmulator({
    ...seabios,
    disk: bootDisk(),
    ramBytes: options.ramBytes ?? 4 * 1024 * 1024,
    secondSerial: options.secondSerial ?? false,
    clock,
  });
  let sent = "";
  emulator.emulator.add_listener("serial0-output-byte", (byte) => {
    sent += String.fromCharCode(byte);
  });
  return whileTesting({
    ...emulator,
    get ticking() {
      return emulator.ticking;
    },
    sent: () => sent,
    destroy: () => emulator.emulator.destroy(),
  });
}

export function ownSave({ inside, engine }: Emulator | V86Machine): ArrayBuffer {
  return inside(() => engine.save_state());
}

export function ownRestore({ inside, engine }: Emulator | V86Machine, blob: ArrayBuffer): void {
  inside(() => engine.restore_state(blob.slice(0)));
}

type Slots = unknown[];

const headerBytes = 16;
const aligned = (length: number) => (length + 3) & ~3;

/** The JSON of a save: the CPU's slots, in which most slots are a device's. */
export function slotsOf(blob: ArrayBuffer): Slots {
  const infoBytes = new Int32Array(blob, 0, 4)[3] as number;
  const info = JSON.parse(new TextDecoder().decode(new Uint8Array(blob, headerBytes, infoBytes))) as { state: Slots };
  return info.state;
}

/** The save with its slots changed, and its lengths right. */
export function withSlots(blob: ArrayBuffer, change: (slots: Slots) => void): ArrayBuffer {
  const bytes = new Uint8Array(blob);
  const infoBytes = new Int32Array(blob, 0, 4)[3] as number;
  const text = new TextDecoder().decode(bytes.subarray(headerBytes, headerBytes + infoBytes));
  const info = JSON.parse(text) as { state: Slots };
  change(info.state);
  const changed = new TextEncoder().encode(JSON.stringify(info));
  const buffers = bytes.subarray(aligned(headerBytes + infoBytes));
  const out = new Uint8Array(aligned(headerBytes + changed.length) + buffers.length);
  out.set(bytes.subarray(0, headerBytes));
  out.set(changed, headerBytes);
  out.set(buffers, aligned(headerBytes + changed.length));
  new Int32Array(out.buffer, 0, 4).set([out.length, changed.length], 2);
  return out.buffer;
}

/** Where v86 0.5.462 has a device among the CPU's slots. */
export const slot = { uart0: 54, pit: 58, mxcsr: 88 } as const;
