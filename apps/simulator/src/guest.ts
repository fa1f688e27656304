// The guest's program: at each step it reads what it wrote before, checks it, and writes the next numbered record.
import {
  firstDifference,
  headerOf,
  headerOffset,
  payloadBytes,
  payloadOf,
  payloadOffset,
  recordBefore,
  recordBytes,
  recordOf,
  recordOffset,
  requestEverySteps,
} from "./layout.ts";
import type { SimulatedMachine } from "./machine.ts";
import type { Storage } from "./storage.ts";

export interface GuestInit {
  readonly machine: SimulatedMachine;
  readonly storage: Storage;
  readonly stepMs: number;
  readonly violated: (text: string) => void;
  readonly forgetsPages: boolean;
}

export class Guest {
  /** The program's registers: steps done, requests submitted. */
  steps = 0;
  submitted = 0;
  readonly #init: GuestInit;
  #throttled = 0;
  #stopStep: (() => void) | undefined;
  /** Counts starts and stops, so that what was waited for before counts no more. */
  #period = 0;

  constructor(init: GuestInit) {
    this.#init = init;
  }

  load(state: { readonly steps: number; readonly submitted: number }): void {
    this.steps = state.steps;
    this.submitted = state.submitted;
  }

  start(): void {
    this.#period++;
    this.#stopStep?.();
    this.#next();
  }

  stop(): void {
    this.#period++;
    this.#stopStep?.();
    this.#stopStep = undefined;
  }

  /** Slows the program down by this fraction, from its next step on. */
  throttle(fraction: number): void {
    this.#throttled = fraction;
  }

  #next(): void {
    const { machine, stepMs } = this.#init;
    this.#stopStep = machine.process.clock.after(stepMs / (1 - this.#throttled), () => this.#run());
  }

  #run(): void {
    const { machine } = this.#init;
    if (!machine.isRunning) return;
    try {
      this.#step();
    } catch (error) {
      // An absent page: nothing of the step has happened, and it begins anew when the page is there.
      const period = this.#period;
      machine.whenPresent(error, () => {
        if (period === this.#period) this.#run();
      });
      return;
    }
    this.#next();
  }

  /** All reads first: a page that is absent stops the step before it has done anything. */
  #step(): void {
    const { machine, storage, violated, forgetsPages } = this.#init;
    const { memory } = machine.ram;
    const number = this.steps + 1;
    expectBytes(memory.read(headerOffset, 4), headerOf(this.steps), `the header before step ${number}`, violated);
    const before = recordBefore(number);
    const record = memory.read(recordOffset(number), recordBytes);
    expectBytes(record, recordOf(before), `the record of step ${before}, read at step ${number}`, violated);
    if (machine.counter !== this.steps) violated(`the counter is ${machine.counter} at step ${number}`);
    const submits = number % requestEverySteps === 0 && machine.device.isIdle;
    if (submits) {
      const payload = memory.read(payloadOffset, payloadBytes);
      const last = this.submitted;
      expectBytes(payload, payloadOf(last), `the payload of request ${last}, read at step ${number}`, violated);
    }
    if (forgetsPages && number % 16 === 0) machine.memory.set(recordOf(number), recordOffset(number));
    else memory.write(recordOffset(number), recordOf(number));
    memory.write(headerOffset, headerOf(number));
    machine.counter = number;
    this.steps = number;
    storage.step(number);
    if (!submits) return;
    this.submitted++;
    memory.write(payloadOffset, payloadOf(this.submitted));
    machine.device.submit(this.submitted, payloadOffset);
  }
}

function expectBytes(found: Uint8Array, expected: Uint8Array, what: string, violated: (text: string) => void): void {
  if (firstDifference(found, expected) >= 0) violated(`${what} is torn`);
}
