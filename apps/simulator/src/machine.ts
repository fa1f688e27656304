// The machine that moves: RAM, a counter, a device with requests, and a guest that leaves evidence of each of its steps.
import {
  createKernel,
  isMigrationError,
  type Kernel,
  MigrationError,
  u8,
  u32,
  virtualClock,
  vmstate,
} from "@godwit/core";
import { barrierTracker, type GuestReader, type RamOffer, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { BlockDevice, type BlockState, blockDescription } from "./block-device.ts";
import { Guest } from "./guest.ts";
import {
  expectedMemory,
  firstDifference,
  initialMemory,
  pageBytes,
  payloadBytes,
  payloadOf,
  ramBytes,
} from "./layout.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Storage } from "./storage.ts";

const counterDescription = vmstate({ name: "counter", version: 1, fields: { value: u32 } });
const cpuDescription = vmstate({
  name: "cpu",
  version: 1,
  fields: { steps: u32, submitted: u32, halted: u8 },
});

export interface MachineInit {
  readonly process: SimulatedProcess;
  readonly storage: Storage;
  /** True: this is where the machine is at the beginning. False: a machine that waits to become one. */
  readonly isOrigin: boolean;
  /** Between two steps of the guest. Milliseconds. */
  readonly stepMs: number;
  /** How long a request, and how long `ready`, take. Milliseconds. */
  readonly requestMs: () => number;
  readonly readyMs: () => number;
  /** A device that refuses the state that arrives, or does not get ready for it. */
  readonly failsAt?: "check" | "ready" | undefined;
  /** Called whenever the machine begins to run. */
  readonly resumed: (machine: SimulatedMachine) => void;
  readonly violated: (text: string) => void;
  /** A canary: now and then a write of the guest passes the dirty tracking by. */
  readonly forgetsPages: boolean;
}

export class SimulatedMachine {
  readonly process: SimulatedProcess;
  readonly kernel: Kernel;
  readonly ram: RamOffer;
  readonly guest: Guest;
  readonly device: BlockDevice;
  counter = 0;
  memory: Uint8Array;
  /** How often it began to run. */
  resumes = 0;
  readonly #init: MachineInit;
  #isRunning = false;

  constructor(init: MachineInit) {
    this.#init = init;
    this.process = init.process;
    this.memory = init.isOrigin ? initialMemory() : new Uint8Array(ramBytes);
    this.kernel = createKernel({
      machineType: "simulated-1",
      clock: virtualClock(() => BigInt(Math.round(init.process.clock.nowMs() * 1e6))),
      machine: {
        pause: () => this.#pause(),
        resume: () => this.#resume(),
        reset: () => {},
        throttle: (fraction) => this.guest.throttle(fraction),
      },
    });
    const tracker = barrierTracker(ramBytes, pageBytes);
    this.ram = this.kernel.use(
      ram({
        blocks: [
          ramBlock({
            idstr: "sim.ram",
            bytes: () => this.memory,
            adopt: (incoming) => {
              this.memory = incoming;
            },
            tracker,
            map: [{ gpa: 0, offset: 0, length: ramBytes }],
          }),
        ],
      }),
    );
    this.device = new BlockDevice({ machine: this, ...init });
    this.guest = new Guest({ machine: this, ...init });
    this.#register();
  }

  /** It runs, in a process that lives. Frozen processes count: what they run goes on when they do. */
  get isRunning(): boolean {
    return this.#isRunning && this.process.isAlive;
  }

  /** Everything that its memory and devices hold that is not as it should be after so many steps and requests. */
  findings(steps: number, requests: number): string[] {
    const found: string[] = [];
    const compare = (what: string, is: number, wanted: number): void => {
      if (is !== wanted) found.push(`${what} is ${is} and not ${wanted}`);
    };
    compare("the counter", this.counter, steps);
    compare("the guest's step", this.guest.steps, steps);
    compare("the device's answered requests", this.device.answered, requests);
    const expected = expectedMemory(steps, this.guest.submitted, requests);
    const at = firstDifference(expected, this.memory);
    if (at >= 0) {
      found.push(`memory differs from 0x${at.toString(16)} on, in page ${Math.floor(at / pageBytes)}`);
    }
    return found;
  }

  /** An access was refused, because its page is absent: does it anew when the page is there. */
  whenPresent(error: unknown, again: () => void): void {
    this.ram.whenPresent(error).then(again, (problem: unknown) => {
      // The pages of a machine that was given up never come, and it stands by then.
      if (this.isRunning) this.#init.violated(`a page that was waited for does not come: ${String(problem)}`);
    });
  }

  #register(): void {
    const { failsAt, readyMs, process } = this.#init;
    this.kernel.device(counterDescription, {
      save: () => ({ value: this.counter }),
      load: ({ value }) => {
        this.counter = value;
      },
    });
    this.kernel.device(cpuDescription, {
      save: () => ({ steps: this.guest.steps, submitted: this.guest.submitted, halted: 0 }),
      load: (state) => this.guest.load(state),
    });
    this.kernel.device(blockDescription, {
      after: this.ram.after,
      quiesce: () => this.device.quiesce(),
      save: () => this.device.save(),
      check: (state, view) => {
        if (failsAt === "check") throw new MigrationError("FIELD_CHECK", "a device that refuses what it is given");
        return this.#checkHeld(state, this.ram.staged(view));
      },
      load: (state) => this.device.load(state),
      ready: async () => {
        await this.device.ready();
        await new Promise<void>((resolve) => process.clock.after(readyMs(), resolve));
        if (failsAt === "ready") throw new Error("a back end that cannot be opened");
      },
      resumed: () => this.device.resumed(),
    });
  }

  /** The device looks at the request that came with it: in post-copy it may have to wait for its page. */
  #checkHeld({ held, number, address }: BlockState, memory: GuestReader) {
    if (held === 0) return undefined;
    try {
      if (firstDifference(memory.read(address, payloadBytes), payloadOf(number)) >= 0) {
        this.#init.violated(`the payload of request ${number} is torn in the memory that arrives`);
      }
      return undefined;
    } catch (error) {
      if (!isMigrationError(error) || error.code !== "PAGE_ABSENT") throw error;
      const { path = "", offset = 0 } = error.location;
      return { missing: { block: path, offset } };
    }
  }

  #pause(): void {
    this.#isRunning = false;
    this.guest.stop();
  }

  #resume(): void {
    if (!this.process.isAlive) return;
    this.#isRunning = true;
    this.resumes++;
    this.#init.resumed(this);
    this.guest.start();
  }
}
