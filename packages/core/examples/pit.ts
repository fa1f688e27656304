// The README's piece on time: a timer chip that fires at intervals of the guest's own time.
import { type StateOf, timer, timerQueue, u64, virtualClock, vmstate } from "@godwit/core";

let hostNs = 0n;
const hostNow = () => hostNs;
export const fired: bigint[] = [];
const raiseInterrupt = () => fired.push(clock.now());
export const passHostTime = (ns: bigint): void => {
  hostNs += ns;
};
export const pit = vmstate({ name: "pit", version: 1, fields: { period: u64, next: timer } });

const clock = virtualClock(hostNow); // hostNow: the host's monotonic time, nanoseconds
const timers = timerQueue(clock); // one a machine; whoever assembles it hands it to the devices

class Pit {
  period = 0n;
  readonly #tick = timers.timer((deadline) => {
    this.#tick.arm(deadline + this.period); // from the deadline, not from now: nothing drifts
    raiseInterrupt();
  });
  save = () => ({ period: this.period, next: this.#tick.deadline }); // fields: { period: u64, next: timer }
  load(state: StateOf<typeof pit>) {
    this.period = state.period;
    this.#tick.arm(state.next); // null cancels what was armed before
  }
}

export { clock, Pit, timers };
