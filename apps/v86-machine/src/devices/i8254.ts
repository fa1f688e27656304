// The 8254 timer: three channels, QEMU's names where the registers are the same. Its times are on the virtual clock.
import {
  array,
  type Description,
  i64,
  type KernelForPlugins,
  MigrationError,
  range,
  struct,
  u8,
  u16,
  vmstate,
} from "@godwit/core";
import type { V86Pit } from "../emulator/v86-objects.ts";

export interface I8254Channel {
  /**
   * The reload value. v86 holds 65535 where the guest has written 0, which is 65536 in a real chip. 0 is a channel that has
   * not been programmed, or one between the two bytes of a new value.
   */
  count: number;
  /** What the counter held at `count_load_time`; virtual nanoseconds. */
  count_load_value: number;
  count_load_time: bigint;
  latched_count: number;
  /** Bytes of the latched count that are still to be read. */
  count_latched: number;
  /** 1: the next access is to the low byte. */
  next_low: number;
  /** 1 low byte, 2 high byte, 3 both. */
  rw_mode: number;
  mode: number;
  /** 1: the channel counts. */
  enabled: number;
}

export interface I8254State {
  channels: I8254Channel[];
}

const flag = range(u8, 0, 1);

const channel: Description<I8254Channel> = vmstate({
  name: "pit channel",
  version: 1,
  fields: {
    count: u16,
    count_load_value: u16,
    count_load_time: i64,
    latched_count: u16,
    count_latched: range(u8, 0, 2),
    next_low: flag,
    rw_mode: range(u8, 0, 3),
    mode: range(u8, 0, 5),
    enabled: flag,
  },
});

const channels = 3;
const bothBytes = 3;

export const i8254: Description<I8254State> = vmstate({
  name: "i8254",
  version: 1,
  fields: { channels: array(struct(channel), channels) },
});

const nanosecondsPerMillisecond = 1e6;

/** v86's clock is the virtual clock in milliseconds, so its times need no more than another unit. */
export function i8254Device(kernel: KernelForPlugins, pit: V86Pit): void {
  kernel.device(i8254, {
    after: ["i8259"],
    save: () => ({ channels: Array.from({ length: channels }, (_, index) => save(pit, index)) }),
    check: (state) => {
      for (const [index, { count, enabled, next_low, rw_mode }] of state.channels.entries()) {
        const isHalfWritten = rw_mode === bothBytes && next_low === 0;
        if (count === 0 && enabled === 1 && !isHalfWritten) {
          const path = `channels[${index}].count`;
          throw new MigrationError("DEVICE_CHECK", "a channel that counts has a value to count from", {
            path,
            expected: "1 to 65535",
            found: "0",
          });
        }
      }
      return undefined;
    },
    load: (state) => {
      for (const [index, one] of state.channels.entries()) load(pit, index, one);
    },
  });
}

function save(pit: V86Pit, index: number): I8254Channel {
  const of = (registers: ArrayLike<number>): number => registers[index] as number;
  return {
    count: of(pit.counter_reload),
    count_load_value: of(pit.counter_start_value),
    count_load_time: BigInt(Math.round(of(pit.counter_start_time) * nanosecondsPerMillisecond)),
    latched_count: of(pit.counter_latch_value),
    count_latched: of(pit.counter_latch),
    next_low: of(pit.counter_next_low),
    rw_mode: of(pit.counter_read_mode),
    mode: of(pit.counter_mode),
    enabled: of(pit.counter_enabled),
  };
}

function load(pit: V86Pit, index: number, state: I8254Channel): void {
  pit.counter_reload[index] = state.count;
  pit.counter_start_value[index] = state.count_load_value;
  pit.counter_start_time[index] = Number(state.count_load_time) / nanosecondsPerMillisecond;
  pit.counter_latch_value[index] = state.latched_count;
  pit.counter_latch[index] = state.count_latched;
  pit.counter_next_low[index] = state.next_low;
  pit.counter_read_mode[index] = state.rw_mode;
  pit.counter_mode[index] = state.mode;
  pit.counter_enabled[index] = state.enabled;
}
