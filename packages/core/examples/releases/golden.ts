// The golden saves: one of each release, of a computer that was in the middle of things.
import type { Kernel } from "@godwit/core";
import {
  computer1,
  type Joystick,
  type Keyboard,
  type LightPen,
  type Ram,
  type Sound,
  type Tape,
} from "./release-1.ts";
import { computer2, type Modem } from "./release-2.ts";
import { computer3, type Slots, type Uart } from "./release-3.ts";
import { type Audio, computer4 } from "./release-4.ts";
import { computer5 } from "./release-5.ts";

/** No host has this clock: a golden save is the same wherever it is written. */
const hostNow = (): bigint => 0n;

export const computers = {
  1: () => computer1(hostNow),
  2: () => computer2(hostNow),
  3: () => computer3(hostNow),
  4: () => computer4(hostNow),
  5: () => computer5(hostNow),
} as const;

export type Release = keyof typeof computers;
export const releases: readonly Release[] = [1, 2, 3, 4, 5];
export const goldenName = (release: Release): string => `release-${release}.save`;

/** A computer of that release with something in every device. */
export const busy: { readonly [R in Release]: () => ReturnType<(typeof computers)[R]> } = {
  1: () => {
    const of = started(computers[1]());
    withFirstDevices(of);
    withFirstSound(of);
    Object.assign(of.serial, { line_control: 3, divisor: 12 });
    Object.assign(of.clockChip, { seconds: 1_000_000_001, control: 2, century: 19 });
    Object.assign(of.modem, { online: true, dialled: 5_550_100 });
    return of;
  },
  2: () => {
    const of = started(computers[2]());
    withFirstDevices(of);
    withFirstSound(of);
    Object.assign(of.serial, { line_control: 3, divisor: 12 });
    of.serial.timeout.ticks = 40;
    Object.assign(of.clockChip, { seconds: 1_000_000_002, control: 2, century: 19 });
    Object.assign(of.modem, { online: true, dialled: 5_550_100, baud: 2400 });
    return of;
  },
  3: () => {
    const of = started(computers[3]());
    withFirstDevices(of);
    withFirstSound(of);
    withUart(of);
    Object.assign(of.clockChip, { seconds: 1_000_000_003, control: 2 });
    return of;
  },
  4: () => {
    const of = started(computers[4]());
    withFirstDevices(of);
    withUart(of);
    withAudio(of);
    Object.assign(of.clockChip, { seconds: 1_000_000_004, control: 2 });
    return of;
  },
  5: () => {
    const of = started(computers[5]());
    withUart(of);
    withAudio(of);
    Object.assign(of.rtc, { now_ns: 1_000_000_005_123_456_789n, control: 2 });
    of.input.matrix.set(matrix);
    of.input.latch = 5;
    of.input.ports.set([17, 2]);
    of.network.link = true;
    of.network.address.set([2, 0, 0, 0, 0, 9]);
    return of;
  },
};

const matrix = [0, 0, 4, 0, 0, 0, 128, 1];
const tone = [440, 880, 1320];

function started<C extends { readonly kernel: Kernel; readonly ram: Ram }>(of: C): C {
  of.kernel.clock.adjust(1_234_567_890n);
  of.ram.bytes.set(of.ram.bytes.map((_, i) => 255 - i));
  return of;
}

function withFirstDevices(of: { keyboard: Keyboard; joystick: Joystick; lightPen: LightPen }): void {
  of.keyboard.matrix.set(matrix);
  of.keyboard.latch = 5;
  Object.assign(of.joystick, { port_a: 17, port_b: 2 });
  Object.assign(of.lightPen, { x: 300, y: 199 });
}

function withFirstSound(of: { sound: Sound; tape: Tape }): void {
  of.sound.tone.set(tone);
  of.sound.noise = 7;
  of.sound.volume.set([15, 10, 5, 1]);
  Object.assign(of.tape, { position: 70_000, motor: true });
}

function withUart(of: { uart: Uart; modem: Modem; slots: Slots }): void {
  Object.assign(of.uart, { line_control: 3, divisor: 12 });
  of.uart.timeout.ticks = 40;
  Object.assign(of.modem, { online: true, dialled: 5_550_100, baud: 2400 });
  const cartridge = of.slots.insert("slot-2");
  cartridge.bank = 3;
  cartridge.battery_ram.set([8, 7, 6, 5, 4, 3, 2, 1]);
}

function withAudio({ audio }: { audio: Audio }): void {
  audio.psg.tone.set(tone);
  audio.psg.noise = 7;
  audio.mixer.left.set([15, 10, 5, 1]);
  audio.mixer.right.set([1, 5, 10, 15]);
}

/** The save of a computer, whole. */
export async function saveOf({ kernel }: { readonly kernel: Kernel }): Promise<Uint8Array> {
  const chunks: number[] = [];
  for await (const chunk of kernel.save()) chunks.push(...chunk);
  return Uint8Array.from(chunks);
}
