// One attempt to send the machine: setup, iterate, complete, in QEMU's order on the wire (wire reference 4).
import type { IterableInit, OutgoingAttempt, Pending, SectionSummary } from "../contract.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import type { Entry, Registry } from "../registry/registry.ts";
import type { Configuration } from "../stream/configuration.ts";
import { type Phase, sectionKey } from "../stream/sections.ts";
import { StreamWriter, type StreamWriterOptions } from "../stream/writer.ts";
import { holds } from "../vmstate/values.ts";
import type { VirtualClock } from "./clock.ts";
import { differenceOf } from "./difference.ts";
import { atOnce } from "./synchronous.ts";

/** A chunk is handed on once this much is written. Bytes. */
const chunkBytes = 256 * 1024;

type Step = "new" | "set-up" | "completed" | "ended";

export class Outgoing implements OutgoingAttempt {
  readonly sections: SectionSummary[] = [];
  readonly #registry: Registry;
  readonly #clock: VirtualClock;
  readonly #configuration: Configuration;
  readonly #writer: StreamWriter;
  readonly #onEnd: () => void;
  /** Handlers that this attempt has set up, and must clean up. */
  readonly #begun: IterableInit[] = [];
  #step: Step = "new";
  #flushed = 0;

  constructor(
    registry: Registry,
    clock: VirtualClock,
    configuration: Configuration,
    options: StreamWriterOptions,
    onEnd: () => void,
  ) {
    this.#registry = registry;
    this.#clock = clock;
    this.#configuration = configuration;
    this.#writer = new StreamWriter(options);
    this.#onEnd = onEnd;
  }

  *setup(): Iterable<Uint8Array> {
    this.#begin();
    this.#writer.header();
    this.#writer.configuration(this.#configuration);
    for (const entry of this.#registry.inSaveOrder()) {
      if (entry.description?.earlySetup) yield* this.#section(entry, "full");
      if (entry.iterable !== undefined) yield* this.#section(entry, "start");
    }
    yield* this.#flush(0);
  }

  pending(exact: boolean): Pending {
    this.#expect("set-up");
    let mustPrecopyBytes = 0;
    let canPostcopyBytes = 0;
    for (const { iterable } of this.#registry.inSaveOrder()) {
      const own = iterable?.pending(exact);
      mustPrecopyBytes += own?.mustPrecopyBytes ?? 0;
      canPostcopyBytes += own?.canPostcopyBytes ?? 0;
    }
    return { mustPrecopyBytes, canPostcopyBytes };
  }

  *iterate(budgetBytes: number): Iterable<Uint8Array> {
    this.#expect("set-up");
    let left = budgetBytes;
    for (const entry of this.#registry.inSaveOrder()) {
      if (entry.iterable === undefined || left <= 0) continue;
      const { mustPrecopyBytes, canPostcopyBytes } = entry.iterable.pending(false);
      if (mustPrecopyBytes + canPostcopyBytes === 0) continue;
      const from = this.#offset();
      this.#writer.continue("part", entry.sectionId);
      this.#guard(entry, "iterate", (iterable) => iterable.iterate(this.#writer.out, left));
      this.#close(entry, "part", from);
      left -= this.#offset() - from;
      yield* this.#flush();
    }
    yield* this.#flush(0);
  }

  *complete(): Iterable<Uint8Array> {
    this.#expect("set-up");
    for (const entry of this.#registry.inSaveOrder()) {
      this.#refuseRunning();
      if (entry.iterable === undefined) continue;
      const from = this.#offset();
      this.#writer.continue("end", entry.sectionId);
      while (!this.#completes(entry)) {
        yield* this.#flush();
        this.#refuseRunning();
      }
      this.#close(entry, "end", from);
      yield* this.#flush();
    }
    for (const entry of this.#registry.inSaveOrder()) {
      this.#refuseRunning();
      if (!entry.description?.earlySetup) yield* this.#section(entry, "full");
    }
    this.#finish();
    yield* this.#flush(0);
    this.#step = "completed";
  }

  /**
   * The whole stream at once and in one piece, in the caller's buffer where it fits. `preamble`: header and
   * configuration, which stay the same. Nothing is made here but what an attempt has once, and a handler asks for.
   */
  whole(preamble: Uint8Array): Uint8Array {
    const { out } = this.#writer;
    const entries = this.#registry.inSaveOrder();
    this.#begin();
    out.raw(preamble);
    for (const entry of entries) {
      if (entry.description?.earlySetup) this.#full(entry);
      if (entry.iterable !== undefined) this.#start(entry);
    }
    for (const entry of entries) {
      if (entry.iterable === undefined) continue;
      this.#writer.continue("end", entry.sectionId);
      while (!this.#completes(entry));
      this.#writer.footer(entry.sectionId);
    }
    for (const entry of entries) if (!entry.description?.earlySetup) this.#full(entry);
    this.#finish();
    this.#step = "completed";
    return out.written();
  }

  end(completed: boolean): void {
    if (this.#step === "ended") return;
    this.#step = "ended";
    const failures: unknown[] = [];
    for (const iterable of this.#begun) {
      try {
        iterable.cleanup(completed);
      } catch (error) {
        failures.push(error);
      }
    }
    this.#onEnd();
    if (failures.length > 0) {
      const detail = "a handler's cleanup threw; the others have cleaned up";
      throw new MigrationError("DEVICE_FAILED", detail, { side: "source", cause: failures[0] });
    }
  }

  /** What runs on between two chunks would be saved in two instants. */
  #refuseRunning(): void {
    if (!this.#clock.running) return;
    throw new MigrationError("CLOCK_RUNNING", "the last part is written while the machine stands", { side: "source" });
  }

  #begin(): void {
    this.#expect("new");
    for (const entry of this.#registry.inSaveOrder()) refuseUnmigratable(entry);
    this.#step = "set-up";
  }

  *#section(entry: Entry, phase: "start" | "full"): Iterable<Uint8Array> {
    const from = this.#offset();
    if (phase === "start") this.#start(entry);
    else this.#full(entry);
    if (this.#offset() === from) return;
    this.#summarise(entry, phase, from);
    yield* this.#flush();
  }

  #start(entry: Entry): void {
    this.#writer.start(entry);
    this.#begun.push(entry.iterable as IterableInit);
    this.#guard(entry, "setup", (iterable) => iterable.setup(this.#writer.out, this.#offset()));
    this.#writer.footer(entry.sectionId);
  }

  #completes(entry: Entry): boolean {
    return this.#guard(entry, "complete", (iterable) => iterable.complete(this.#writer.out, chunkBytes));
  }

  /** A device's section; nothing, where its state need not travel. */
  #full(entry: Entry): void {
    const { description, device } = entry;
    if (description === undefined || device === undefined) return;
    try {
      const state = atOnce(device.save(), "SAVE_ASYNC", "save");
      if (description.needed === undefined || description.needed(state)) {
        this.#writer.full(entry, description, state);
      } else if (!holds(state, description.absent)) {
        throw differenceOf(state, description.absent) as MigrationError;
      }
    } catch (error) {
      const at = { side: "source" as const, section: sectionKey(entry), version: description.version };
      if (isMigrationError(error)) throw error.at(at);
      throw new MigrationError("DEVICE_FAILED", "the device's save threw", { ...at, cause: error });
    }
  }

  #close(entry: Entry, phase: Phase, from: number): void {
    this.#writer.footer(entry.sectionId);
    this.#summarise(entry, phase, from);
  }

  #finish(): void {
    try {
      this.#writer.finish();
    } catch (error) {
      throw isMigrationError(error) ? error.at({ side: "source" }) : error;
    }
  }

  #summarise({ idstr, instance, version }: Entry, phase: Phase, from: number): void {
    this.sections.push({ idstr, instance, version, phase, offset: from, bytes: this.#offset() - from });
  }

  #offset(): number {
    return this.#flushed + this.#writer.out.pos;
  }

  *#flush(over: number = chunkBytes): Iterable<Uint8Array> {
    const { out } = this.#writer;
    if (out.pos <= over) return;
    const chunk = out.flush();
    this.#flushed += chunk.length;
    yield chunk;
  }

  /** Calls an iterable handler; what it throws is told as its own, at the place in the stream where it was called. */
  #guard<T>(entry: Entry, what: string, call: (iterable: IterableInit) => T): T {
    const offset = this.#offset();
    try {
      return call(entry.iterable as IterableInit);
    } catch (error) {
      const at = { side: "source" as const, section: sectionKey(entry), version: entry.version, offset };
      if (isMigrationError(error)) throw error.at(at);
      throw new MigrationError("DEVICE_FAILED", `the handler's ${what} threw`, { ...at, cause: error });
    }
  }

  #expect(step: Step): void {
    if (this.#step !== step) {
      throw new MigrationError("ATTEMPT_ENDED", "the outgoing attempt is not at this phase", {
        side: "source",
        expected: step,
        found: this.#step,
      });
    }
  }
}

function refuseUnmigratable(entry: Entry): void {
  const reason = entry.description?.unmigratable;
  if (reason === undefined) return;
  throw new MigrationError("DEVICE_UNMIGRATABLE", `a device cannot migrate: ${reason}`, {
    side: "source",
    section: sectionKey(entry),
  });
}

/** What every stream of a machine begins with. */
export function preambleOf(configuration: Configuration): Uint8Array {
  const writer = new StreamWriter({ describe: false, roomBytes: 256 });
  writer.header();
  writer.configuration(configuration);
  return writer.out.flush();
}
