// A function's interrupts. The function is told of vectors at any time; they go out only once their routes stand, which
// needs the interrupt controller, and while the machine runs.
import { type Messages, Msi, Msix } from "./messages.ts";
import type { PciConfigSpace } from "./pci-core.ts";

/** The machine's way for message-signalled interrupts (KVM: irqfds and routes). */
export interface InterruptRouter {
  /** From now on the vector has this message. Needs the interrupt controller to be there, with its state. */
  attach(vector: number, address: number, data: number): void;
  detach(vector: number): void;
  signal(vector: number): void;
  /** The level of the pin INTA, for functions without MSI and MSI-X or before the guest enables one of them. */
  setIntx?(level: boolean): void;
}

export class Interrupts {
  /** Of MSI-X. */
  readonly vectors: number;
  /** Vectors that a driver may raise. At least one: the pin. */
  readonly raisable: number;
  /** The MSI-X table; per vector: message address (64 bits), data, control. Little-endian. */
  readonly table: Uint8Array;
  /** The pending bits of MSI-X. */
  readonly pba: Uint8Array;
  /** Levels of INTA to INTD. */
  readonly irqState: Uint32Array = new Uint32Array(4);
  readonly #msix: Msix;
  readonly #msi: Msi;
  readonly #router: InterruptRouter;
  readonly #isMachineRunning: () => boolean;
  /** Routes that stand, and the message of each. */
  readonly #attached = new Map<number, string>();
  #enabled = true;
  /** The controller has been told so. */
  #pinRaised = false;

  constructor(config: PciConfigSpace, router: InterruptRouter, isMachineRunning: () => boolean) {
    this.#msix = new Msix(config);
    this.#msi = new Msi(config);
    this.vectors = this.#msix.vectors;
    this.raisable = Math.max(1, this.vectors, this.#msi.capable);
    this.table = this.#msix.table;
    this.pba = this.#msix.pba;
    this.#router = router;
    this.#isMachineRunning = isMachineRunning;
  }

  /** Vectors go out. False between the moment a new state is adopted and its record's load. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** One of `raisable` vectors. While the guest has enabled no messages, the pin tells of it, whatever the vector. */
  raise(vector: number): void {
    const messages = this.#messages;
    // A guest may grant fewer vectors than the function can have: they share.
    if (messages !== undefined) messages.setPending(vector % messages.vectors, true);
    else this.irqState[0] = 1;
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
    for (const vector of [...this.#attached.keys()]) this.#detach(vector);
    this.#enabled = true;
    // The controller has another state now.
    this.#pinRaised = false;
    this.#route();
  }

  /** The guest has written configuration space, or the table: routes follow, and what may go out does. */
  changed(): void {
    if (!this.#enabled) return;
    // Its pin is not for a function that signals by messages.
    if (this.#messages !== undefined && this.irqState[0] === 1) this.lowerIntx();
    this.#route();
    this.deliver();
  }

  /** Nothing is pending, and every vector is masked; routes follow. Configuration space has been reset before. */
  reset(): void {
    if (this.irqState[0] === 1) this.lowerIntx();
    this.irqState.fill(0);
    this.#msix.reset();
    this.#msi.reset();
    this.changed();
  }

  /** What is pending, unmasked and routed goes out, if the machine runs. */
  deliver(): void {
    if (!this.#enabled || !this.#isMachineRunning()) return;
    const messages = this.#messages;
    if (messages === undefined) {
      if (this.irqState[0] === 1 && !this.#pinRaised) this.#setPin(true);
      return;
    }
    for (const vector of this.#attached.keys()) {
      if (!messages.isPending(vector) || messages.isMasked(vector)) continue;
      messages.setPending(vector, false);
      this.#router.signal(vector);
    }
  }

  /** The guest has served the pin's cause. */
  lowerIntx(): void {
    this.irqState[0] = 0;
    this.#setPin(false);
  }

  get #messages(): Messages | undefined {
    return this.#msix.enabled ? this.#msix : this.#msi.enabled ? this.#msi : undefined;
  }

  /** A vector has a route as long as its kind of message is enabled and it is not masked. */
  #route(): void {
    const messages = this.#messages;
    for (let vector = 0; vector < this.raisable; vector++) {
      const wanted = messages !== undefined && vector < messages.vectors && !messages.isMasked(vector);
      const message = wanted ? messages.message(vector) : undefined;
      const key = message && `${messages?.kind} ${message.address} ${message.data}`;
      if (this.#attached.get(vector) === key) continue;
      if (this.#attached.has(vector)) this.#detach(vector);
      if (message === undefined || key === undefined) continue;
      this.#router.attach(vector, message.address, message.data);
      this.#attached.set(vector, key);
    }
  }

  #setPin(level: boolean): void {
    this.#pinRaised = level;
    this.#router.setIntx?.(level);
  }

  #detach(vector: number): void {
    this.#attached.delete(vector);
    this.#router.detach(vector);
  }
}
