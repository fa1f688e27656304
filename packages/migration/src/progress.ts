// Something that is told again and again while a migration goes on.
import type { HostClock } from "./host.ts";

/**
 * Calls `tell` every `periodMs`. Due times lie on a fixed grid: a timer that comes late does not put off those behind
 * it. The answer ends it.
 */
export function tellEvery(clock: HostClock, periodMs: number, tell: () => void): () => void {
  let dueMs = clock.nowMs();
  let stop: () => void = () => {};
  const wait = (): void => {
    const nowMs = clock.nowMs();
    // What was missed altogether is not made up for: several at once tell nothing new.
    dueMs += periodMs * Math.max(1, Math.ceil((nowMs - dueMs) / periodMs));
    stop = clock.after(dueMs - nowMs, () => {
      wait();
      tell();
    });
  };
  wait();
  return () => stop();
}
