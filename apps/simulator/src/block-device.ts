// A device with requests: one at a time, read from guest memory by DMA, carried out by a slow back end, answered in memory.
import { u8, u32, vmstate } from "@godwit/core";
import { answerBytes, answerOf, answerOffset, payloadBytes } from "./layout.ts";
import type { SimulatedMachine } from "./machine.ts";
import type { Storage } from "./storage.ts";

export const blockDescription = vmstate({
  name: "block",
  version: 1,
  fields: { held: u8, number: u32, address: u32, answered: u32 },
});

export interface BlockState {
  readonly held: number;
  readonly number: number;
  readonly address: number;
  readonly answered: number;
}

export interface BlockDeviceInit {
  readonly machine: SimulatedMachine;
  readonly storage: Storage;
  readonly requestMs: () => number;
}

type Phase = "idle" | "held" | "busy";

export class BlockDevice {
  answered = 0;
  readonly #init: BlockDeviceInit;
  #phase: Phase = "idle";
  #number = 0;
  #address = 0;
  /** From `quiesce` until the machine runs: new requests are held back. */
  #isHolding = false;
  #quiet: (() => void)[] = [];

  constructor(init: BlockDeviceInit) {
    this.#init = init;
  }

  get isIdle(): boolean {
    return this.#phase === "idle";
  }

  submit(number: number, address: number): void {
    this.#number = number;
    this.#address = address;
    this.#phase = "held";
    if (!this.#isHolding) this.#begin();
  }

  /** What is at the back end is waited for; what comes then is held, and travels. */
  quiesce(): Promise<void> {
    this.#isHolding = true;
    if (this.#phase !== "busy") return Promise.resolve();
    return new Promise((resolve) => this.#quiet.push(resolve));
  }

  /** Where the next answer goes must be there before the machine runs, and what a request that came needs. */
  async ready(): Promise<void> {
    const { ram } = this.#init.machine;
    for (;;) {
      try {
        ram.memory.read(answerOffset(this.answered + 1), answerBytes);
        if (this.#phase === "held") ram.memory.read(this.#address, payloadBytes);
        return;
      } catch (error) {
        await ram.whenPresent(error);
      }
    }
  }

  resumed(): void {
    this.#isHolding = false;
    if (this.#phase === "held") this.#begin();
  }

  save(): BlockState {
    if (this.#phase === "busy") throw new Error("a request is at the back end while the state is saved");
    return {
      held: this.#phase === "held" ? 1 : 0,
      number: this.#number,
      address: this.#address,
      answered: this.answered,
    };
  }

  load(state: BlockState): void {
    this.#phase = state.held === 1 ? "held" : "idle";
    this.#number = state.number;
    this.#address = state.address;
    this.answered = state.answered;
    this.#isHolding = true;
  }

  #begin(): void {
    this.#phase = "busy";
    const { machine, requestMs } = this.#init;
    machine.process.clock.after(requestMs(), () => this.#finish());
  }

  /** All of DMA's reads come before the first effect, as in the guest's steps. */
  #finish(): void {
    const { machine, storage } = this.#init;
    const { memory } = machine.ram;
    try {
      memory.read(answerOffset(this.#number), answerBytes);
      storage.request(this.#number, memory.read(this.#address, payloadBytes));
    } catch (error) {
      machine.whenPresent(error, () => this.#finish());
      return;
    }
    memory.write(answerOffset(this.#number), answerOf(this.#number));
    this.answered = this.#number;
    this.#phase = "idle";
    for (const resolve of this.#quiet.splice(0)) resolve();
  }
}
