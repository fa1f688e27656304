// What a machine is to the clock harness: a few functions around its kernel. Structural, so that any copy of core fits.
import type { SimulatedHost } from "./host.ts";

/** Where a section lies in a stream, as the kernel's event `saved` says. */
export interface SavedSection {
  readonly idstr: string;
  readonly instance: number;
  readonly phase: "start" | "part" | "end" | "full";
  /** Of its type byte. */
  readonly offset: number;
  /** From the type byte to the end of the footer. */
  readonly bytes: number;
}

/** The part of `Kernel` that the harness needs. */
export interface TimedKernel {
  readonly clock: { readonly running: boolean; now(): bigint };
  readonly events: {
    once(event: "saved", listener: (sections: readonly SavedSection[]) => void): unknown;
  };
  pause(): void;
  resume(): void;
  save(): AsyncIterable<Uint8Array>;
  load(source: Uint8Array): Promise<unknown>;
}

export interface TimedMachine {
  readonly kernel: TimedKernel;
  /** What the guest does first: it programs the devices. Called once, and not on a machine that loads such a state. */
  start(): void | Promise<void>;
  /**
   * Lets host time go on until the virtual clock shows `untilNs`, and fires all that is due, at `untilNs` included.
   * A `runTimers` does it where all timers stand in one queue. It is called with the kernel running.
   */
  run(untilNs: bigint): void | Promise<void>;
  /** By device, the virtual times at which it fired, in order, since this machine was made. */
  fired(): Readonly<Record<string, readonly bigint[]>>;
  /** The guest's real-time clock, where it has one; a `wallClock` of `@godwit/core` fits. */
  readonly wall?: { readonly mode: "follow" | "freeze"; now(): bigint };
}

/** Makes one machine on the host that is given, the same each time, not yet running, nothing programmed. */
export type TimedSetup = (host: SimulatedHost) => TimedMachine | Promise<TimedMachine>;
