// A guest's real-time clock: its date either follows the host's, or stands while the machine does.
import { bool, type Description, i64, range, struct, u32, vmstate } from "../vmstate/index.ts";
import type { VirtualClock } from "./clock.ts";

/** A signed time of any date: `seconds` rounded down, and 0 to 999 999 999 `nanoseconds` on top. */
export interface Timespec {
  seconds: bigint;
  nanoseconds: number;
}

/** The state of a wall clock. Where `follows` is false nothing of it comes from the host's time. */
export interface WallClockState {
  /** The mode that it was saved in. */
  follows: boolean;
  /** Guest's wall time less virtual time, at the save. */
  clock_offset: Timespec;
  /** Guest's wall time less the host's; 0 where it does not follow. */
  host_offset: Timespec;
}

const timespec: Description<Timespec> = vmstate({
  name: "timespec",
  version: 1,
  fields: { seconds: i64, nanoseconds: range(u32, 0, 999_999_999) },
});

/** Nest it: `wall: struct(wallClockDescription)`, saved as `wall.state()`, loaded by `wall.load(state.wall)`. */
export const wallClockDescription: Description<WallClockState> = vmstate({
  name: "wall-clock",
  version: 1,
  fields: { follows: bool, clock_offset: struct(timespec), host_offset: struct(timespec) },
});

/**
 * `follow`: the guest's time is the host's wall time plus the guest's own offset; it goes on while the machine is
 * paused or lies in a file, and where the host's clock is set back (NTP), it goes back as well.
 * `freeze`: it goes with the virtual clock, and what the host's clock does is never seen.
 */
export type WallClockMode = "follow" | "freeze";

export interface WallClockOptions {
  readonly clock: VirtualClock;
  /** The host's wall time: nanoseconds since 1970-01-01 UTC. Never called in mode `freeze`. */
  readonly hostNow: () => bigint;
  readonly mode: WallClockMode;
  /** The guest's time at first, nanoseconds since 1970; the default is the host's for `follow`, 0 for `freeze`. */
  readonly start?: bigint;
}

/** Nanoseconds since 1970-01-01 UTC, as the guest sees them. */
export interface WallClock {
  readonly mode: WallClockMode;
  now(): bigint;
  /** The guest sets its date. */
  set(now: bigint): void;
  state(): WallClockState;
  /**
   * Takes a state of either mode; the mode of this clock stays, and decides what the guest sees:
   * `follow` from `follow`: the host's wall time plus the saved offset; the time in the file has passed.
   * `freeze` from `freeze`, and `freeze` from `follow`: the guest's time at the save, and on from there.
   * `follow` from `freeze`: the guest's time at the save, and on from there with the host's; how long it lay in the file
   * is not known. It asks the virtual clock, which the kernel loads first.
   */
  load(state: WallClockState): void;
}

export function wallClock({ clock, hostNow, mode, start }: WallClockOptions): WallClock {
  const follows = mode === "follow";
  const base = follows ? hostNow : () => clock.now();
  let offset = start === undefined ? 0n : start - base();
  const now = () => base() + offset;
  const set = (time: bigint) => {
    offset = time - base();
  };
  return {
    mode,
    now,
    set,
    state: () => ({
      follows,
      clock_offset: split(now() - clock.now()),
      host_offset: split(follows ? offset : 0n),
    }),
    load(state) {
      if (!follows) offset = join(state.clock_offset);
      else if (state.follows) offset = join(state.host_offset);
      else set(join(state.clock_offset) + clock.now());
    },
  };
}

const second = 1_000_000_000n;

function split(time: bigint): Timespec {
  const nanoseconds = ((time % second) + second) % second;
  return { seconds: (time - nanoseconds) / second, nanoseconds: Number(nanoseconds) };
}

function join({ seconds, nanoseconds }: Timespec): bigint {
  return seconds * second + BigInt(nanoseconds);
}
