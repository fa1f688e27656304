// A printer: it strikes one byte of its FIFO every ten milliseconds of virtual time, onto paper outside of the machine.
import {
  capture,
  type KernelForPlugins,
  MigrationError,
  type Registration,
  restore,
  type StateOf,
  subsection,
  type TimerQueue,
  timer,
  u8,
  type VirtualTimer,
  varray,
  vmstate,
} from "@godwit/core";

// #region description
export const printer = vmstate({
  name: "printer",
  version: 1,
  fields: {
    column: u8,
    fifo_count: u8,
    fifo: varray("fifo_count", u8),
    strike_at: timer, // a deadline on the virtual clock, or null
  },
  subsections: {
    ribbon: subsection({
      name: "printer/ribbon",
      version: 1,
      fields: { colour: u8 },
      needed: (own) => own.colour !== 0, // most of the time it is black
      absent: { colour: 0 },
    }),
  },
});

export type PrinterState = StateOf<typeof printer>;
// #endregion

// #region paper
/** What the printer writes on. It lives outside of the machine: it is opened, and each strike takes host time. */
export interface Paper {
  open(): Promise<void>;
  strike(byte: number, colour: number): Promise<void>;
}
// #endregion

const strikeNs = 10_000_000n;

// #region class
export interface PrinterParts {
  readonly timers: TimerQueue;
  readonly paper: Paper;
  readonly fifoBytes: number;
  readonly columns: number;
  readonly instance: number;
}

export class Printer {
  column = 0;
  fifo = new Uint8Array(0);
  readonly ribbon = { colour: 0 };
  readonly registration: Registration<PrinterState>;
  readonly #parts: PrinterParts;
  readonly #strike: VirtualTimer;
  #isHeld = false;
  #inFlight: Promise<unknown> = Promise.resolve();

  get fifo_count(): number {
    return this.fifo.length;
  }
  get strike_at(): bigint | null {
    return this.#strike.deadline;
  }
  set strike_at(deadline: bigint | null) {
    this.#strike.deadline = deadline;
  }

  constructor(kernel: KernelForPlugins, parts: PrinterParts) {
    this.#parts = parts;
    this.#strike = parts.timers.timer((deadline) => this.#strikeOne(deadline));
    this.registration = kernel.device(printer, {
      instance: parts.instance,
      save: () => capture(printer, this),
      check: (state) => this.#check(state),
      load: (state) => restore(printer, this, state),
      quiesce: () => this.#hold(),
      ready: () => parts.paper.open(),
      resumed: () => {
        this.#isHeld = false;
      },
    });
  }
  // #endregion

  // #region guest
  /** The guest writes a byte to the data register. False: the FIFO is full. */
  write(byte: number): boolean {
    if (this.fifo.length === this.#parts.fifoBytes) return false;
    this.fifo = Uint8Array.of(...this.fifo, byte);
    this.strike_at ??= this.#parts.timers.clock.now() + strikeNs;
    return true;
  }

  #strikeOne(deadline: bigint): void {
    if (this.#isHeld) {
      this.strike_at = deadline; // still due: it is struck when the machine goes on, here or there
      return;
    }
    const [byte, ...rest] = this.fifo;
    if (byte === undefined) return;
    this.fifo = Uint8Array.from(rest);
    this.column = (this.column + 1) % this.#parts.columns;
    this.strike_at = rest.length === 0 ? null : deadline + strikeNs;
    const { colour } = this.ribbon;
    this.#inFlight = Promise.all([this.#inFlight, this.#parts.paper.strike(byte, colour)]);
  }
  // #endregion

  // #region quiesce
  /** A strike that has begun ends here, and no other begins: half a letter cannot be migrated. */
  async #hold(): Promise<void> {
    this.#isHeld = true;
    await this.#inFlight;
  }
  // #endregion

  // #region check
  #check(state: PrinterState): { amended: PrinterState; note: string } | undefined {
    const { fifoBytes, columns } = this.#parts;
    if (state.fifo_count > fifoBytes) {
      throw new MigrationError("DEVICE_CHECK", "this printer has a smaller FIFO", {
        path: "fifo_count",
        expected: `at most ${fifoBytes}`,
        found: String(state.fifo_count),
      });
    }
    if (state.column < columns) return undefined;
    return {
      amended: { ...state, column: 0 },
      note: `column ${state.column} is not on this paper: the carriage returned`,
    };
  }
  // #endregion
}
