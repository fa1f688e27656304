// Two machines, two engines and a connection between them, with a hand on each.
import {
  type DestinationReport,
  type IncomingMigration,
  type IncomingOptions,
  incomingMigration,
  type OutgoingMigration,
  type OutgoingOptions,
  outgoingMigration,
  type SourceReport,
} from "@godwit/migration";
import { type Channel, memoryPair } from "@godwit/transport";
import { tcp } from "@godwit/transport/tcp";
import { expect } from "vitest";
import { drive, ManualClock, turn } from "./clock.ts";
import { concat, type MachineOptions, TestMachine } from "./machine.ts";

export type Wire = "memory" | "tcp";

export interface RigOptions {
  readonly wire?: Wire;
  readonly bufferBytes?: number;
  /** What passes between two slices, of 64 KiB unless a test says otherwise. Default 1. */
  readonly turnMs?: number;
  readonly source?: MachineOptions;
  readonly destination?: MachineOptions;
  readonly outgoing?: Partial<OutgoingOptions>;
  readonly incoming?: Partial<IncomingOptions>;
  /** Looks at, or tampers with, what the source's and destination's engines see as their connection. */
  wrapSource?(channel: Channel): Channel;
  wrapDestination?(channel: Channel): Channel;
}

export class Rig {
  readonly clock = new ManualClock();
  readonly source: TestMachine;
  readonly destination: TestMachine;
  readonly outgoing: OutgoingMigration;
  readonly incoming: IncomingMigration;
  sourceChannel: Channel | undefined;
  destinationChannel: Channel | undefined;

  constructor(options: RigOptions = {}) {
    this.source = new TestMachine({ dirtyPagesPerTick: 2, ...options.source });
    this.source.fill(7);
    this.destination = new TestMachine({
      ...(options.source?.pages === undefined ? {} : { pages: options.source.pages }),
      ...options.destination,
      running: false,
    });
    const ends = connection(options.wire ?? "memory", options.bufferBytes);
    this.outgoing = outgoingMigration({
      machine: this.source,
      clock: this.clock,
      connect: async () => {
        this.sourceChannel = await ends.connect();
        return options.wrapSource?.(this.sourceChannel) ?? this.sourceChannel;
      },
      yieldToHost: async () => {
        this.clock.advance(options.turnMs ?? 1);
        this.source.tick();
        await turn();
      },
      sliceBytes: 64 * 1024,
      parameters: { "downtime-limit": 1 },
      ...options.outgoing,
    });
    this.incoming = incomingMigration({
      machine: this.destination,
      clock: this.clock,
      accept: async () => {
        this.destinationChannel = await ends.accept();
        return options.wrapDestination?.(this.destinationChannel) ?? this.destinationChannel;
      },
      ...options.incoming,
    });
  }

  /** Both to their end. `stepMs`: time passes even while nothing happens, for what ends by a timer. */
  async run(stepMs = 0): Promise<{ source: SourceReport; destination: DestinationReport }> {
    const both = Promise.all([this.outgoing.run(), this.incoming.run()]);
    const [source, destination] = await drive(both, this.clock, stepMs);
    this.expectNeverTwo();
    return { source, destination };
  }

  /** The one thing that may never be: a machine that runs twice. */
  expectNeverTwo(): void {
    expect(this.source.isRunning && this.destination.isRunning).toBe(false);
  }

  expectMoved(): void {
    expect(this.source.isRunning).toBe(false);
    expect(this.destination.isRunning).toBe(true);
    expect(Buffer.compare(this.destination.memory, this.source.memory)).toBe(0);
    expect(this.destination.ticks).toBe(this.source.ticks);
    expect(Buffer.compare(concat(this.destination.received), concat(this.source.sent))).toBe(0);
  }

  /** As if nothing had been: it runs, its attempt is over, and the destination has nothing of it. */
  expectStayed(): void {
    expect(this.source.isRunning).toBe(true);
    expect(this.source.isHeld).toBe(false);
    expect(this.destination.isRunning).toBe(false);
    expect(this.destination.memory.every((byte) => byte === 0)).toBe(true);
    const begun = this.source.log.filter((step) => step === "outgoing").length;
    expect(this.source.log.filter((step) => step === "attempt-end").length).toBe(begun);
    if (this.source.log.includes("pause")) expect(this.source.log.at(-1)).toBe("resume");
    const staged = this.destination.log.filter((step) => step === "incoming").length;
    if (!this.destination.failsAt("incoming")) {
      expect(this.destination.log.filter((step) => step === "discard").length).toBe(staged);
    }
    if (begun > 0) expect(this.source.dirty.size).toBe(this.source.pages);
  }
}

function connection(wire: Wire, bufferBytes: number | undefined) {
  if (wire === "memory") {
    const [here, there] = memoryPair(bufferBytes === undefined ? {} : { bufferBytes });
    return { connect: async () => here, accept: async () => there };
  }
  const listening = tcp.listen("tcp:127.0.0.1:0");
  return {
    connect: async () => tcp.connect((await listening).uri),
    accept: async () => {
      const listener = await listening;
      const channel = await listener.accept();
      await listener.close();
      return channel;
    },
  };
}
