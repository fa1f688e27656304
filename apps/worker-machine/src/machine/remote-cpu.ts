// The machine's side of a CPU in a worker: run it, stop it at an instruction boundary, give it other registers. It
// waits for answers, but never for ever.
import { type FromWorker, stopWord, type WorkerPort } from "../cpu/messages.ts";
import { type Registers, resetRegisters } from "../cpu/registers.ts";

export interface RemoteCpuInit {
  readonly worker: WorkerPort;
  readonly ram: SharedArrayBuffer;
  /** How long the worker may take over an answer. */
  readonly timeoutMs: number;
}

type Goal = "stop" | "take its registers" | "reach its limit";

interface Waiter {
  readonly goal: Goal;
  readonly isReached: () => boolean;
  resolve(): void;
  reject(error: Error): void;
}

/**
 * Either the worker has the registers (it runs, and nobody here knows them), or the CPU stands and they are here. What
 * is wanted and what is differ while a stop is on its way, so that a stop may be taken back before it has happened.
 */
export class RemoteCpu {
  readonly #worker: WorkerPort;
  readonly #control = new Int32Array(new SharedArrayBuffer(4));
  readonly #timeoutMs: number;
  #registers: Registers | undefined = resetRegisters();
  /** The worker has been sent `#registers`, or they came from there. */
  #isGiven = true;
  #wantsToRun = false;
  #limit = Number.MAX_SAFE_INTEGER;
  #run = 0;
  #lastLoad = 0;
  #lastLoaded = 0;
  #death: string | undefined;
  #waiters: Waiter[] = [];

  constructor({ worker, ram, timeoutMs }: RemoteCpuInit) {
    this.#worker = worker;
    this.#timeoutMs = timeoutMs;
    worker.onMessage((message) => this.#take(message));
    worker.postMessage({ type: "attach", ram, control: this.#control.buffer as SharedArrayBuffer });
  }

  /** Of a standing CPU; throws while it runs. */
  get registers(): Registers {
    if (this.#registers !== undefined) return this.#registers;
    throw new Error("the CPU runs in its worker: nobody here has its registers before quiesce has ended");
  }

  /** The worker gets them with `give`, or when it runs. Throws while the CPU runs. */
  set registers(registers: Registers) {
    if (this.#registers === undefined) throw new Error("the CPU runs in its worker: quiesce it first");
    this.#registers = registers;
    this.#isGiven = false;
  }

  /** Asks for a stop and does not wait for it. */
  requestStop(): void {
    this.#wantsToRun = false;
    if (this.#registers === undefined) Atomics.store(this.#control, stopWord, this.#run);
  }

  /** Stops between two instructions. Rejects where the worker does not answer, or `run` comes first. */
  stop(): Promise<void> {
    this.requestStop();
    return this.#wait("stop", () => this.#registers !== undefined, this.#timeoutMs);
  }

  /** The worker takes the registers over. Rejects where it does not answer. */
  async give(): Promise<void> {
    if (!this.#isGiven) this.#post(this.registers);
    const id = this.#lastLoad;
    if (this.#death !== undefined) throw this.#lost("take its registers");
    await this.#wait("take its registers", () => this.#lastLoaded >= id, this.#timeoutMs);
  }

  /** Runs on. Takes back a stop that has not happened yet. */
  run(): void {
    this.#wantsToRun = true;
    this.#settle("stop", new Error("the CPU was resumed before it had stopped"));
    this.#runIfWanted();
  }

  /** The next runs end by themselves at this `instret`, until one has: then it resolves, or when the CPU has halted. */
  async reach(instret: number, timeoutMs: number): Promise<void> {
    this.#limit = instret;
    try {
      await this.#wait("reach its limit", () => this.#registers !== undefined && this.#isAtItsEnd(), timeoutMs);
    } finally {
      this.#limit = Number.MAX_SAFE_INTEGER;
    }
  }

  /** Ends the worker; whoever waits for it is told. */
  terminate(): void {
    this.#worker.terminate();
    this.#take({ type: "died", reason: "terminated by its machine" });
  }

  #runIfWanted(): void {
    if (!this.#wantsToRun || this.#registers === undefined || this.#death !== undefined || this.#isAtItsEnd()) return;
    if (!this.#isGiven) this.#post(this.#registers);
    this.#registers = undefined;
    this.#run++;
    this.#worker.postMessage({ type: "run", run: this.#run, until: this.#limit });
  }

  #isAtItsEnd(): boolean {
    const { halted, instret } = this.registers;
    return halted || instret >= this.#limit;
  }

  #post(registers: Registers): void {
    this.#lastLoad++;
    this.#isGiven = true;
    this.#worker.postMessage({ type: "load", id: this.#lastLoad, registers });
  }

  #take(message: FromWorker): void {
    if (message.type === "died") {
      this.#death ??= message.reason;
      for (const { goal } of this.#waiters) this.#settle(goal, this.#lost(goal));
      return;
    }
    if (message.type === "loaded") this.#lastLoaded = message.id;
    else this.#registers = message.registers;
    this.#runIfWanted();
    for (const waiter of this.#waiters.filter(({ isReached }) => isReached())) waiter.resolve();
  }

  #wait(goal: Goal, isReached: () => boolean, timeoutMs: number): Promise<void> {
    if (isReached()) return Promise.resolve();
    if (this.#death !== undefined) return Promise.reject(this.#lost(goal));
    return new Promise((resolve, reject) => {
      const over = () => {
        clearTimeout(timer);
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
      };
      const waiter: Waiter = {
        goal,
        isReached,
        resolve: () => {
          over();
          resolve();
        },
        reject: (error) => {
          over();
          reject(error);
        },
      };
      const timer = setTimeout(
        () => waiter.reject(new Error(`the CPU's worker did not ${goal} within ${timeoutMs} ms`)),
        timeoutMs,
      );
      this.#waiters.push(waiter);
    });
  }

  #settle(goal: Goal, error: Error): void {
    for (const waiter of this.#waiters.filter((one) => one.goal === goal)) waiter.reject(error);
  }

  #lost(goal: Goal): Error {
    return new Error(`the CPU's worker is gone and cannot ${goal}: ${this.#death}`);
  }
}
