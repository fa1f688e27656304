// A function's interrupts. The function is told of vectors at any time; they go out only once their routes stand, which
// needs the interrupt controller, and while the machine runs.
import { msixVectorsOf, type PciConfigSpace } from "./pci-core.ts";

/** The machine's way for message-signalled interrupts (KVM: irqfds and routes). */
export interface InterruptRouter {
  /** From now on the vector has this message. Needs the interrupt controller to be there, with its state. */
  attach(vector: number, address: number, data: number): void;
  detach(vector: number): void;
  signal(vector: number): void;
  /** The level of the pin INTA, for functions without MSI-X or before it is enabled. */
  setIntx?(level: boolean): void;
}

const enableBit = 0x8000;
const maskAllBit = 0x4000;
const entryMaskBit = 1;
const entryBytes = 16;

export class Interrupts {
  readonly vectors: number;
  /** Per vector: message address (64 bits), data, control. Little-endian. */
  readonly table: Uint8Array;
  /** Pending bits. */
  readonly pba: Uint8Array;
  /** Levels of INTA to INTD. */
  readonly irqState: Uint32Array = new Uint32Array(4);
  readonly #config: PciConfigSpace;
  readonly #router: InterruptRouter;
  readonly #isMachineRunning: () => boolean;
  readonly #attached = new Set<number>();
  #enabled = true;

  constructor(config: PciConfigSpace, router: InterruptRouter, isMachineRunning: () => boolean) {
    this.vectors = msixVectorsOf(config.bytes);
    this.table = new Uint8Array(entryBytes * this.vectors);
    this.pba = new Uint8Array(Math.ceil(this.vectors / 8));
    for (let i = 0; i < this.vectors; i++) this.table[entryBytes * i + 12] = entryMaskBit;
    this.#config = config;
    this.#router = router;
    this.#isMachineRunning = isMachineRunning;
  }

  /** Vectors go out. False between the moment a new state is adopted and its record's load. */
  get enabled(): boolean {
    return this.#enabled;
  }

  raise(vector: number): void {
    if (vector < this.vectors) this.#setPending(vector, true);
    else if (vector === 0) this.irqState[0] = 1;
    this.deliver();
  }

  /** Holds everything back; routes stay as they are. Gives what undoes it. */
  hold(): () => void {
    const before = this.#enabled;
    this.#enabled = false;
    return () => {
      this.#enabled = before;
    };
  }

  /** Sets the routes up as configuration space and the table say. Delivers nothing yet. */
  enable(): void {
    for (const vector of [...this.#attached]) this.#detach(vector);
    this.#enabled = true;
    this.#route();
  }

  /** The guest has written configuration space, or the table: routes follow, and what may go out does. */
  changed(): void {
    if (!this.#enabled) return;
    this.#route();
    this.deliver();
  }

  /** What is pending, unmasked and routed goes out, if the machine runs. */
  deliver(): void {
    if (!this.#enabled || !this.#isMachineRunning()) return;
    if (!this.#isMsixEnabled) {
      if (this.irqState[0] === 1) this.#router.setIntx?.(true);
      return;
    }
    for (const vector of this.#attached) {
      if (!this.#isPending(vector) || this.#isMasked(vector)) continue;
      this.#setPending(vector, false);
      this.#router.signal(vector);
    }
  }

  /** The guest has served the pin's cause. */
  lowerIntx(): void {
    this.irqState[0] = 0;
    this.#router.setIntx?.(false);
  }

  /** A vector has a route as long as MSI-X is enabled and its entry is not masked. */
  #route(): void {
    const view = new DataView(this.table.buffer);
    for (let vector = 0; vector < this.vectors; vector++) {
      const wanted = this.#isMsixEnabled && !this.#isMasked(vector);
      if (!wanted && this.#attached.has(vector)) this.#detach(vector);
      if (!wanted || this.#attached.has(vector)) continue;
      const at = entryBytes * vector;
      const address = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
      this.#router.attach(vector, address, view.getUint32(at + 8, true));
      this.#attached.add(vector);
    }
  }

  #detach(vector: number): void {
    this.#attached.delete(vector);
    this.#router.detach(vector);
  }

  get #isMsixEnabled(): boolean {
    return (this.#config.msixControl & enableBit) !== 0;
  }

  #isMasked(vector: number): boolean {
    const control = this.table[entryBytes * vector + 12] as number;
    return (this.#config.msixControl & maskAllBit) !== 0 || (control & entryMaskBit) !== 0;
  }

  #isPending(vector: number): boolean {
    return ((this.pba[vector >> 3] as number) & (1 << (vector & 7))) !== 0;
  }

  #setPending(vector: number, pending: boolean): void {
    const bit = 1 << (vector & 7);
    const rest = (this.pba[vector >> 3] as number) & ~bit;
    this.pba[vector >> 3] = pending ? rest | bit : rest;
  }
}
