// What the machine and the worker of its CPU say to each other. Messages keep their order, both ways.
import type { Registers } from "./registers.ts";

/**
 * The worker's word of what to stop at, in shared memory beside the RAM: a run ends when this is its number. A message
 * would not be read before the run is over.
 */
export const stopWord = 0;

export type ToWorker =
  /** The first message. */
  | { readonly type: "attach"; readonly ram: SharedArrayBuffer; readonly control: SharedArrayBuffer }
  | { readonly type: "load"; readonly id: number; readonly registers: Registers }
  /** Runs are numbered from 1; one begins only when the one before has stopped. `until` is an `instret`. */
  | { readonly type: "run"; readonly run: number; readonly until: number };

export type FromWorker =
  | { readonly type: "loaded"; readonly id: number }
  | { readonly type: "stopped"; readonly run: number; readonly registers: Registers }
  /** Told by the worker's edge: no further message comes. */
  | { readonly type: "died"; readonly reason: string };

/** A worker of any runtime, as the machine knows it. */
export interface WorkerPort {
  postMessage(message: ToWorker): void;
  /** Before the first `postMessage`, and once. */
  onMessage(listener: (message: FromWorker) => void): void;
  terminate(): void;
}
