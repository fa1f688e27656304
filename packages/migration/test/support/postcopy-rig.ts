// Two engines with a machine each, whose line a test breaks while pages are under way.
import { isMigrationError, type MigrationError } from "@godwit/core";
import {
  type DestinationReport,
  type IncomingMigration,
  type IncomingOptions,
  incomingMigration,
  type MigratableMachine,
  type OutgoingMigration,
  type OutgoingOptions,
  outgoingMigration,
  type SourceReport,
} from "@godwit/migration";
import { type Channel, memoryPair } from "@godwit/transport";
import { expect } from "vitest";
import { drive, ManualClock, turn } from "./clock.ts";
import { fillPages, type RamMachine, ramMachine } from "./ram-machine.ts";

export const pageBytes = 4096;
export const pages = 512;

/** A connection that the test breaks. */
export interface Line {
  readonly connect: () => Promise<Channel>;
  readonly accept: () => Promise<Channel>;
  /** Both ends are gone; what was under way is lost. */
  cut(): void;
  readonly sentBytes: number;
}

/** As many connections as are asked for, in their order. `onSend` sees every write of the source. */
export function line(onSend?: (bytes: Uint8Array, index: number) => void): Line {
  const waiting: Channel[] = [];
  const takers: ((channel: Channel) => void)[] = [];
  const ends: Channel[] = [];
  let connections = 0;
  let sentBytes = 0;
  return {
    get sentBytes() {
      return sentBytes;
    },
    async connect() {
      const [here, there] = memoryPair({ bufferBytes: 256 * 1024 });
      const index = connections++;
      ends.push(here, there);
      const taker = takers.shift();
      if (taker === undefined) waiting.push(there);
      else taker(there);
      return {
        send(bytes) {
          sentBytes += bytes.length;
          onSend?.(bytes, index);
          return here.send(bytes);
        },
        receive: () => here.receive(),
        close: () => here.close(),
        abort: (error) => here.abort(error),
      };
    },
    accept() {
      const channel = waiting.shift();
      return channel === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(channel);
    },
    cut() {
      for (const end of ends.splice(0)) end.abort(new Error("the line is cut"));
    },
  };
}

export class Rig {
  readonly clock = new ManualClock();
  readonly source: RamMachine;
  readonly target: RamMachine;
  readonly outgoing: OutgoingMigration;
  readonly incoming: IncomingMigration;
  line: Line;
  /** What the guest does at the destination, a turn at a time. */
  guest: (() => void) | undefined;
  readonly statuses: { readonly source: string[]; readonly destination: string[] } = { source: [], destination: [] };

  constructor(
    options: {
      readonly outgoing?: Partial<OutgoingOptions>;
      readonly incoming?: Partial<IncomingOptions>;
      readonly line?: Line;
      readonly preempt?: boolean;
      /** What the destination's engine sees as its machine. */
      machine?(kernel: RamMachine["kernel"]): MigratableMachine;
      /** Post-copy begins after this many slices. */
      readonly startAt?: number;
    } = {},
  ) {
    this.source = ramMachine({ pages, pagesPerTick: 40 });
    this.target = ramMachine({ pages, pagesPerTick: 0 });
    fillPages(this.source.memory());
    this.source.isRunning = true;
    this.line = options.line ?? line();
    const capabilities = { "postcopy-ram": true, "postcopy-preempt": options.preempt === true };
    let slices = 0;
    this.outgoing = outgoingMigration({
      machine: this.source.kernel,
      ram: this.source.ram,
      clock: this.clock,
      capabilities,
      parameters: { "downtime-limit": 1 },
      connect: () => this.line.connect(),
      sliceBytes: 64 * 1024,
      yieldToHost: async () => {
        this.clock.advance(1);
        this.source.tick();
        if (++slices === (options.startAt ?? 60)) this.outgoing.startPostcopy();
        if (this.target.isRunning) this.guest?.();
        await turn();
      },
      ...options.outgoing,
    });
    this.incoming = incomingMigration({
      machine: options.machine?.(this.target.kernel) ?? this.target.kernel,
      ram: this.target.ram,
      clock: this.clock,
      capabilities,
      accept: () => this.line.accept(),
      ...options.incoming,
    });
    this.outgoing.events.on("status", ({ status }) => this.statuses.source.push(status));
    this.incoming.events.on("status", ({ status }) => this.statuses.destination.push(status));
  }

  start(): Promise<[SourceReport, DestinationReport]> {
    const both = Promise.all([this.outgoing.run(), this.incoming.run()]);
    both.catch(() => {});
    return both;
  }

  drive<T>(work: Promise<T>, stepMs = 0): Promise<T> {
    return drive(work, this.clock, stepMs);
  }

  /** Turns until both engines are in this state. */
  async until(status: string): Promise<void> {
    for (let i = 0; i < 20_000; i++) {
      if (this.outgoing.state.status === status && this.incoming.state.status === status) return;
      await turn();
    }
    throw new Error(`${this.outgoing.state.status} and ${this.incoming.state.status}, never ${status}`);
  }

  /** Every byte is the source's, but where the guest has written since. */
  expectMoved(written: ReadonlyMap<number, number> = new Map()): void {
    expect([this.source.isRunning, this.target.isRunning]).toEqual([false, true]);
    const wanted = this.source.memory().slice();
    for (const [at, value] of written) wanted[at] = value;
    expect(Buffer.compare(this.target.memory(), wanted)).toBe(0);
    expect(this.target.ticks).toBe(this.source.ticks);
    expect(this.target.ram.absent()).toBeUndefined();
  }
}

export const absent = (error: unknown): MigrationError => {
  if (!isMigrationError(error) || error.code !== "PAGE_ABSENT") throw error;
  return error;
};

export interface Guest {
  readonly written: Map<number, number>;
  readonly left: number[];
  /** All pages are there: it comes to its end. */
  finish(): void;
}

/** A guest that writes one byte into each of these pages, waiting where one is absent. What it has written. */
export function writer(rig: Rig, order: readonly number[]): Guest {
  const written = new Map<number, number>();
  const left = [...order];
  rig.guest = () => {
    for (let steps = 0; left.length > 0 && steps < 4; steps++) {
      const at = (left[0] as number) * pageBytes + 17;
      try {
        rig.target.ram.memory.write(at, Uint8Array.of(0xab));
      } catch (error) {
        absent(error);
        return;
      }
      written.set(at, 0xab);
      left.shift();
    }
  };
  return {
    written,
    left,
    finish() {
      for (let turns = 0; left.length > 0 && turns < order.length; turns++) rig.guest?.();
      expect(left).toEqual([]);
    },
  };
}

export const everyThird = Array.from({ length: pages / 3 }, (_, i) => (i * 3 + 1) % pages);
