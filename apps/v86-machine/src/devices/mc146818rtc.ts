// The real-time clock. v86 keeps host times in it; here its timers are deadlines on the virtual clock, and its date is a
// wall clock's, which follows the host's or stands with the machine.
import {
  buffer,
  capture,
  type Description,
  i64,
  type KernelForPlugins,
  range,
  restore,
  struct,
  timer,
  u8,
  type VirtualClock,
  vmstate,
  type WallClock,
  type WallClockState,
  wallClockDescription,
} from "@godwit/core";
import type { V86Rtc } from "../emulator/v86-objects.ts";
import { accessors, property } from "./accessors.ts";

export interface RtcState {
  /** The registers where the chip has them: A, B and C at 10 to 12, the diagnostic status at 14. */
  cmos_data: Uint8Array;
  cmos_index: number;
  nmi_disabled: number;
  /** The guest's date. */
  wall: WallClockState;
  /** The next periodic interrupt, and the next interrupt at the end of an update. */
  periodic_timer: bigint | null;
  update_timer: bigint | null;
  /** The guest's date of the alarm: nanoseconds since 1970; 0 where none is set. */
  next_alarm_time: bigint;
}

const cmosBytes = 128;

export const mc146818rtc: Description<RtcState> = vmstate({
  name: "mc146818rtc",
  version: 1,
  fields: {
    cmos_data: buffer(cmosBytes),
    cmos_index: range(u8, 0, cmosBytes - 1),
    nmi_disabled: range(u8, 0, 1),
    wall: struct(wallClockDescription),
    periodic_timer: timer,
    update_timer: timer,
    next_alarm_time: i64,
  },
});

const register = { a: 10, b: 11, c: 12, diagnostic: 14 } as const;
const rateMask = 0x0f;
const periodicEnable = 0x40;
const updateEnable = 0x10;
const nanosecondsPerMillisecond = 1_000_000n;

/** What the machine calls when the guest stops and goes on. */
export interface RtcDevice {
  /** Takes v86's times, which are the host's, into guest time. */
  paused(): void;
  /** Gives v86 host times again. */
  resumed(): void;
}

export interface RtcDeviceInit {
  readonly rtc: V86Rtc;
  readonly clock: VirtualClock;
  readonly wall: WallClock;
}

export function rtcDevice(kernel: KernelForPlugins, { rtc, clock, wall }: RtcDeviceInit): RtcDevice {
  // Guest times: valid while the machine is paused.
  const times = { periodic: null as bigint | null, update: null as bigint | null, alarm: 0n };

  const chip = accessors<RtcState>({
    cmos_data: { get: () => cmosOf(rtc), set: (data) => setCmos(rtc, data) },
    cmos_index: property(rtc, "cmos_index"),
    nmi_disabled: property(rtc, "nmi_disabled"),
    wall: { get: () => wall.state(), set: (state) => wall.load(state) },
    periodic_timer: property(times, "periodic"),
    update_timer: property(times, "update"),
    next_alarm_time: property(times, "alarm"),
  });
  kernel.device(mc146818rtc, {
    after: ["i8259"],
    save: () => capture(mc146818rtc, chip),
    load: (state) => restore(mc146818rtc, chip, state),
  });

  const device: RtcDevice = {
    paused() {
      const hostNow = Date.now();
      const virtual = (host: number): bigint => clock.now() + nanoseconds(host - hostNow);
      const guestNow = rtc.rtc_time + (hostNow - rtc.last_update);
      wall.set(nanoseconds(guestNow));
      times.periodic = rtc.periodic_interrupt ? clamped(virtual(rtc.next_interrupt)) : null;
      times.update = rtc.update_interrupt ? clamped(virtual(rtc.update_interrupt_time)) : null;
      times.alarm = rtc.next_interrupt_alarm === 0 ? 0n : nanoseconds(guestNow + (rtc.next_interrupt_alarm - hostNow));
    },
    resumed() {
      const hostNow = Date.now();
      const host = (deadline: bigint): number => hostNow + milliseconds(deadline - clock.now());
      const guestNow = wall.now();
      rtc.rtc_time = milliseconds(guestNow);
      rtc.last_update = hostNow;
      rtc.next_interrupt = times.periodic === null ? 0 : host(times.periodic);
      rtc.update_interrupt_time = times.update === null ? 0 : host(times.update);
      rtc.next_interrupt_alarm = times.alarm === 0n ? 0 : hostNow + milliseconds(times.alarm - guestNow);
    },
  };
  device.paused();
  return device;
}

/** v86 keeps the chip's registers beside its memory. */
function cmosOf(rtc: V86Rtc): Uint8Array {
  const data = rtc.cmos_data.slice();
  data[register.a] = rtc.cmos_a;
  data[register.b] = rtc.cmos_b;
  data[register.c] = rtc.cmos_c;
  data[register.diagnostic] = rtc.cmos_diag_status;
  return data;
}

/** What v86 derives from the registers is derived again: a stream cannot contradict itself. */
function setCmos(rtc: V86Rtc, data: Uint8Array): void {
  const of = (index: number): number => data[index] as number;
  rtc.cmos_data.set(data);
  rtc.cmos_a = of(register.a);
  rtc.cmos_b = of(register.b);
  rtc.cmos_c = of(register.c);
  rtc.cmos_diag_status = of(register.diagnostic);
  const rate = rtc.cmos_a & rateMask;
  rtc.periodic_interrupt_time = 1000 / (32_768 >> (rate - 1));
  rtc.periodic_interrupt = (rtc.cmos_b & periodicEnable) !== 0 && rate > 0;
  rtc.update_interrupt = (rtc.cmos_b & updateEnable) !== 0 && rate > 0;
}

function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1e6));
}

function milliseconds(nanoseconds: bigint): number {
  const whole = nanoseconds / nanosecondsPerMillisecond;
  return Number(whole) + Number(nanoseconds - whole * nanosecondsPerMillisecond) / 1e6;
}

/** A deadline before the clock began is due at once. */
function clamped(deadline: bigint): bigint {
  return deadline < 0n ? 0n : deadline;
}
