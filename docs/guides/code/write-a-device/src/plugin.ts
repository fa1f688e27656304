// The printer as a plugin: options in, an offer out.
import type { Plugin, Registration, TimerQueue } from "@godwit/core";
import { type Paper, Printer, type PrinterState } from "./printer.ts";

// #region plugin
export interface PrinterOptions {
  readonly timers: TimerQueue;
  readonly paper: Paper;
  /** The default is 16. Both machines must have room for what is in it. */
  readonly fifoBytes?: number;
  /** The default is 80. */
  readonly columns?: number;
  /** Which printer of the machine it is; the default is 0. */
  readonly instance?: number;
}

export interface PrinterOffer {
  readonly registration: Registration<PrinterState>;
  /** The data register. False: the FIFO is full. */
  write(byte: number): boolean;
  /** The ribbon register: 0 is black, 1 red. */
  setRibbon(colour: number): void;
}

export function printerPlugin(options: PrinterOptions): Plugin<PrinterOffer> {
  const { timers, paper, fifoBytes = 16, columns = 80, instance = 0 } = options;
  return {
    name: "example-printer",
    version: "0.1.0",
    contract: 3,
    setup(kernel) {
      const device = new Printer(kernel, { timers, paper, fifoBytes, columns, instance });
      return {
        registration: device.registration,
        write: (byte) => device.write(byte),
        setRibbon(colour) {
          device.ribbon.colour = colour;
        },
      };
    },
  };
}
// #endregion
