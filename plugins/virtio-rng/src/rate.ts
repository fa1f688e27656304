// A limit on the bytes that a guest may take, in guest time: it counts while the machine runs, and never for the host.
import { MigrationError, type TimerQueue } from "@godwit/core";

export interface RateLimit {
  /** Bytes that a period allows. */
  readonly maxBytes: number;
  readonly periodMs: number;
  /** The machine's timers. */
  readonly timers: TimerQueue;
}

export interface Quota {
  /** Bytes that may still be taken in this period. */
  readonly left: number;
  take(bytes: number): void;
  /** As if nothing had been taken. */
  restart(): void;
}

const nanosecondsPerMs = 1_000_000n;

/** `renewed` is called when a period has ended. A period begins with the first byte that is taken in it. */
export function quota(limit: RateLimit | undefined, renewed: () => void): Quota {
  if (limit === undefined) return { left: Number.POSITIVE_INFINITY, take() {}, restart() {} };
  const { maxBytes, periodMs, timers } = limit;
  for (const [name, value] of Object.entries({ maxBytes, periodMs })) {
    if (Number.isSafeInteger(value) && value > 0) continue;
    throw new MigrationError("DEFINITION_INVALID", `virtio-rng's ${name} cannot be`, {
      expected: "a whole number from 1 on",
      found: String(value),
    });
  }
  let left = maxBytes;
  const timer = timers.timer(() => {
    left = maxBytes;
    renewed();
  });
  return {
    get left() {
      return left;
    },
    take(bytes) {
      left -= bytes;
      if (timer.deadline === null) timer.arm(timers.clock.now() + BigInt(periodMs) * nanosecondsPerMs);
    },
    restart() {
      left = maxBytes;
      timer.cancel();
    },
  };
}
