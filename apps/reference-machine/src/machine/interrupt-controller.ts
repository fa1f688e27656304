// The interrupt controller: 31 edge-triggered lines that devices raise by writing a doorbell (message-signalled).
import { type Description, type StateOf, u32, vmstate } from "@godwit/core";
import {
  INTERRUPT_CLAIM,
  INTERRUPT_DOORBELL,
  INTERRUPT_ENABLE,
  INTERRUPT_LAST_IRQ,
  INTERRUPT_PENDING,
} from "../memory-map.ts";

export const interruptControllerDescription: Description<{ pending: number; enable: number }> = vmstate({
  name: "godwit-irqchip",
  version: 1,
  fields: { pending: u32, enable: u32 },
});

export class InterruptController {
  #pending = 0;
  #enable = 0;
  #held = false;
  readonly #onChange: (level: boolean) => void;

  /** `onChange` is told the level of the hart's external line whenever it may have changed. */
  constructor(onChange: (level: boolean) => void) {
    this.#onChange = onChange;
  }

  read(offset: number): number | undefined {
    switch (offset) {
      case INTERRUPT_PENDING:
        return this.#pending >>> 0;
      case INTERRUPT_ENABLE:
        return this.#enable >>> 0;
      case INTERRUPT_CLAIM:
        return this.#claim();
      default:
        return undefined;
    }
  }

  write(offset: number, value: number): boolean {
    if (offset === INTERRUPT_ENABLE) this.#enable = value & ~1;
    else if (offset === INTERRUPT_DOORBELL) return this.raise(value);
    else return false;
    this.#update();
    return true;
  }

  /** A device's message: the line becomes pending until it is claimed. False where there is no such line. */
  raise(irq: number): boolean {
    if (irq < 1 || irq > INTERRUPT_LAST_IRQ) return false;
    this.#pending |= 1 << irq;
    this.#update();
    return true;
  }

  /** No interrupt reaches the hart while devices are being loaded: half of them are still of another machine. */
  hold(held: boolean): void {
    this.#held = held;
    this.#update();
  }

  reset(): void {
    this.load({ pending: 0, enable: 0 });
  }
  save(): StateOf<typeof interruptControllerDescription> {
    return { pending: this.#pending >>> 0, enable: this.#enable >>> 0 };
  }
  load(state: StateOf<typeof interruptControllerDescription>): void {
    this.#pending = state.pending;
    this.#enable = state.enable;
    this.#update();
  }

  #claim(): number {
    const ready = this.#pending & this.#enable;
    if (ready === 0) return 0;
    const irq = 31 - Math.clz32(ready & -ready);
    this.#pending &= ~(1 << irq);
    this.#update();
    return irq;
  }

  #update(): void {
    this.#onChange(!this.#held && (this.#pending & this.#enable) !== 0);
  }
}
