// Where the harness cuts a run in two, and onto which hosts it carries the second half.
import type { HostTimes } from "./host.ts";

/** A moment of the virtual clock at which a machine is saved. */
export interface Cut {
  readonly text: string;
  /** Whether the guest has programmed the devices before, or does so after the load only. */
  readonly started: boolean;
  readonly runToNs: bigint;
  /** When it is saved: host time may go by behind `runToNs` without the machine looking at what is due. */
  readonly atNs: bigint;
  /** From when on it runs as long again; where it was not started, it has been idle until then. */
  readonly goOnNs: bigint;
}

function cutAt(text: string, atNs: bigint, runToNs: bigint = atNs): Cut {
  return { text, started: true, runToNs, atNs, goOnNs: atNs };
}

/** `deadlines` are those of the unmigrated machine, ascending; it is cut around at most `most` of them. */
export function cutsOf(deadlines: readonly bigint[], untilNs: bigint, most: number): readonly Cut[] {
  const idleNs = untilNs / 4n + 1n;
  const idle = { ...cutAt("with nothing armed", idleNs), started: false, goOnNs: idleNs + untilNs };
  const around = spread(deadlines, most).flatMap((at) => [
    ...(at > 0n
      ? [
          cutAt(`1 ns before the deadline ${at} ns`, at - 1n),
          cutAt(`at the deadline ${at} ns, not fired yet`, at, at - 1n),
        ]
      : []),
    cutAt(`at the deadline ${at} ns, when it has fired`, at),
    cutAt(`1 ns after the deadline ${at} ns`, at + 1n),
  ]);
  return [idle, ...around, cutAt(`at the end, ${untilNs} ns`, untilNs)];
}

/** First, last, and evenly between. */
function spread(all: readonly bigint[], most: number): readonly bigint[] {
  if (all.length <= most) return all;
  const step = (all.length - 1) / Math.max(most - 1, 1);
  return Array.from({ length: most }, (_, i) => all[Math.round(i * step)] as bigint);
}

const dayNs = 86_400_000_000_000n;

/** The host of the source, when the machine is made: up for thirty days, on 2024-03-01. */
export const sourceTimes: HostTimes = { now: 30n * dayNs, wallNow: 1_709_251_200_000_000_000n };

export interface Destination {
  readonly text: string;
  /** The host's clocks when the state is loaded, given those of the source when it was saved. */
  readonly times: (saved: HostTimes) => HostTimes;
  /** The machine that loads has run by itself before, with timers of its own. */
  readonly used: boolean;
}

const shifted = (days: bigint) => (saved: HostTimes) => ({
  now: saved.now + days * dayNs,
  wallNow: saved.wallNow + days * dayNs,
});

export const destinations: readonly Destination[] = [
  { text: "host clocks ten days ahead", times: shifted(10n), used: false },
  { text: "host clocks ten days behind", times: shifted(-10n), used: false },
  { text: "host clocks at 0", times: () => ({ now: 0n, wallNow: 0n }), used: false },
  { text: "host clocks at 2^63 - 2 ns", times: () => ({ now: 2n ** 63n - 2n, wallNow: 2n ** 63n - 2n }), used: false },
  { text: "host clocks ten days ahead, machine used before", times: shifted(10n), used: true },
];
