// Time that passes only when everybody waits: the order of what happens follows from delays alone, and takes no real time.

export interface VirtualTime {
  /** Nanoseconds since the beginning. */
  readonly now: bigint;
  /** Resolves when so much time has passed; those of the same moment in the order in which they were asked for. */
  sleep(ns: bigint): Promise<void>;
  /** Goes on to the next moment that somebody waits for. False: nobody waits. */
  step(): boolean;
  /**
   * Lets time pass until the promise settles, and gives what it gives. An `Error` where nobody waits for time and nothing
   * comes: a dead-lock, or something that waits for the real world, which plays no part here.
   */
  run<T>(until: Promise<T>): Promise<T>;
}

interface Sleeper {
  readonly at: bigint;
  wake(): void;
}

/** Turns in which everything that is ready happens before time goes on. */
const settleTurns = 256;

export function virtualTime(): VirtualTime {
  const sleepers: Sleeper[] = [];
  let now = 0n;
  const time: VirtualTime = {
    get now() {
      return now;
    },
    sleep: (ns) =>
      new Promise((wake) => {
        const at = now + (ns > 0n ? ns : 0n);
        const index = sleepers.findIndex((one) => one.at > at);
        sleepers.splice(index < 0 ? sleepers.length : index, 0, { at, wake });
      }),
    step() {
      const next = sleepers.shift();
      if (next === undefined) return false;
      now = next.at;
      next.wake();
      return true;
    },
    async run(until) {
      let isSettled = false;
      const settled = () => {
        isSettled = true;
      };
      until.then(settled, settled);
      for (;;) {
        for (let turn = 0; turn < settleTurns && !isSettled; turn++) await undefined;
        if (isSettled) return until;
        if (!time.step()) throw new Error(`at ${now} ns nothing is under way, and what is waited for has not come`);
      }
    },
  };
  return time;
}
