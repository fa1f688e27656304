// What a source sends: the stream over the main connection, and pages over those beside it, counted and told.
import type { OutgoingAttempt, SectionSummary } from "@godwit/core";
import type { BufferedBytes } from "./buffered.ts";
import type { Channel, HostClock } from "./host.ts";
import type { Interrupt } from "./interrupt.ts";
import { PageSenders } from "./pages/page-senders.ts";
import type { SourcePagesWire } from "./postcopy/wire.ts";
import type { SourceRecorder } from "./statistics.ts";
import type { SourceWire, WireCommand } from "./wire.ts";

export interface SourceStreamOptions {
  readonly clock: HostClock;
  readonly interrupt: Interrupt;
  readonly peerTimeoutMs: number;
  readonly buffered: BufferedBytes;
  /** Every byte is added to it. */
  readonly recorder: SourceRecorder;
  /** One more connection to the destination. */
  connect(): Promise<Channel>;
  /** A section was sent. */
  sectionSent(section: SectionSummary): void;
}

export class SourceStream {
  readonly #options: SourceStreamOptions;
  #pages: PageSenders | undefined;
  #attempt: OutgoingAttempt | undefined;
  #sectionsTold = 0;

  constructor(options: SourceStreamOptions) {
    this.#options = options;
  }

  /** So many connections of pages; gives what the ram handler writes to. `PEER_SILENT`, `PEER_CLOSED`. */
  async openPages(wire: SourceWire, channels: number): Promise<readonly ((bytes: Uint8Array) => void)[]> {
    this.#pages = new PageSenders({ ...this.#options, channels, wire });
    await this.#pages.open();
    return this.#pages.sinks;
  }

  /** Whose sections are sent from now on. */
  begin(attempt: OutgoingAttempt): void {
    this.#attempt = attempt;
  }

  get sections(): readonly SectionSummary[] {
    return this.#attempt?.sections ?? [];
  }

  /** What the connections of pages have taken. Bytes. */
  get besideBytes(): number {
    return this.#pages?.takenBytes ?? 0;
  }

  /** Resolves when the connections of pages have taken all that was for them. `PEER_SILENT`. */
  async settle(): Promise<void> {
    await this.#pages?.empty();
  }

  /** Resolves when the transport has taken all of it. */
  async send(wire: SourcePagesWire, chunks: Iterable<Uint8Array>): Promise<void> {
    for (const chunk of chunks) await this.#put(wire, chunk);
    await wire.flush();
    this.#tellSections();
  }

  /** A command between two sections. */
  async command(wire: SourceWire, attempt: OutgoingAttempt, command: WireCommand): Promise<void> {
    await this.#put(wire, attempt.command(command));
    await wire.flush();
  }

  /** What is left, the machine standing. Gives what lets the destination run, where that is for the wire to hold back. */
  async sendRest(wire: SourceWire, attempt: OutgoingAttempt): Promise<Uint8Array | undefined> {
    let last: Uint8Array | undefined;
    for (const chunk of attempt.complete()) {
      if (last !== undefined) await this.#put(wire, last);
      // A chunk is ours until the next one is asked for; what is held back must outlive that.
      last = wire.runsOnLast ? chunk.slice() : undefined;
      if (last === undefined) await this.#put(wire, chunk);
    }
    await wire.flush();
    this.#tellSections();
    await this.settle();
    await wire.end();
    return last;
  }

  /** Resolves when the connections of pages are closed, or broken off where they do not let themselves be closed. */
  async close(): Promise<void> {
    await this.#pages?.close();
  }

  abort(error: unknown): void {
    this.#pages?.abort(error);
  }

  async #put(wire: SourcePagesWire, chunk: Uint8Array): Promise<void> {
    this.#options.recorder.sentBytes += chunk.length;
    await wire.send(chunk);
    await this.#pages?.room();
  }

  #tellSections(): void {
    const { sections } = this;
    for (; this.#sectionsTold < sections.length; this.#sectionsTold++) {
      this.#options.sectionSent(sections[this.#sectionsTold] as SectionSummary);
    }
  }
}
