// What the engine needs of the program around it: a machine, a clock with timers, and a channel. Structural, all three.
import type { IncomingAttempt, Manifest, OutgoingAttempt } from "@godwit/core";

/** A machine that can migrate. A kernel of `@godwit/core` is one. */
export interface MigratableMachine {
  manifest(): Manifest;
  outgoing(): OutgoingAttempt;
  incoming(): IncomingAttempt;
  /** Waits for what must not be cut in two, and holds back what would begin anew. The engine pauses right afterwards. */
  quiesce(): Promise<void>;
  pause(): void;
  /** The machine runs, and what `quiesce` held back goes on. */
  resume(): void;
}

/** Host time. Tests and simulators give one that they move themselves. */
export interface HostClock {
  /** Monotonic; where it starts does not matter. Milliseconds. */
  nowMs(): number;
  /** Calls `callback` once, not earlier than after `delayMs`. The answer takes it back. */
  after(delayMs: number, callback: () => void): () => void;
}

/** One connection, as `@godwit/transport` defines it. */
export interface Channel {
  send(bytes: Uint8Array): Promise<void>;
  receive(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
  abort(error: unknown): void;
}

/** What RAM's handler counted, for the statistics. Totals since the attempt began. */
export interface RamCounters {
  /** Pages sent as a zero record. */
  readonly duplicatePages: number;
  /** Pages sent as they are. */
  readonly normalPages: number;
  readonly pageBytes: number;
}
