// One attempt to send the machine: setup, iterate, and complete or post-copy, in QEMU's order on the wire (wire reference
// 4, 9.3).
import type {
  IterableInit,
  OutgoingAttempt,
  OutgoingInit,
  Pending,
  SectionSummary,
  StreamCommand,
} from "../contract.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import type { Entry, Registry } from "../registry/registry.ts";
import type { Configuration } from "../stream/configuration.ts";
import { type Phase, sectionKey } from "../stream/sections.ts";
import { StreamWriter, type StreamWriterOptions } from "../stream/writer.ts";
import { holds } from "../vmstate/values.ts";
import type { VirtualClock } from "./clock.ts";
import { differenceOf } from "./difference.ts";
import { atOnce } from "./synchronous.ts";
import { attempt, failureOf } from "./thrown.ts";

/** A chunk is handed on once this much is written. Bytes. */
const chunkBytes = 256 * 1024;

type Step = "new" | "set-up" | "switched" | "packaged" | "completed" | "ended";

/** QEMU's MIG_CMD_PACKAGED: its payload is the length of the sections and commands that follow. */
const packagedCommand = 7;

export class Outgoing implements OutgoingAttempt {
  readonly sections: SectionSummary[] = [];
  readonly #registry: Registry;
  readonly #clock: VirtualClock;
  readonly #configuration: Configuration;
  readonly #writer: StreamWriter;
  readonly #onEnd: () => void;
  readonly #reuse: boolean;
  /** Handlers that this attempt has set up, and must clean up. */
  readonly #begun: IterableInit[] = [];
  #step: Step = "new";
  #flushed = 0;
  /** A section has begun and not ended: nothing else may stand in it. */
  #inSection = false;

  constructor(
    registry: Registry,
    clock: VirtualClock,
    configuration: Configuration,
    options: StreamWriterOptions & OutgoingInit,
    onEnd: () => void,
  ) {
    this.#reuse = options.reuse ?? false;
    this.#registry = registry;
    this.#clock = clock;
    this.#configuration = configuration;
    this.#writer = new StreamWriter(options);
    this.#onEnd = onEnd;
  }

  *setup(commands: readonly StreamCommand[] = []): Iterable<Uint8Array> {
    this.#begin();
    this.#writer.header();
    this.#writer.configuration(this.#configuration);
    this.#commands(commands);
    for (const entry of this.#registry.inSaveOrder()) {
      if (entry.description?.earlySetup) yield* this.#section(entry, "full");
      if (entry.iterable !== undefined) yield* this.#section(entry, "start");
    }
    yield* this.#flush(0);
  }

  pending(exact: boolean): Pending {
    this.#expect("set-up", "switched", "packaged");
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
    this.#expect("set-up", "packaged");
    let left = budgetBytes;
    for (const entry of this.#iterables(this.#step === "packaged" || undefined)) {
      if (left <= 0) continue;
      const { mustPrecopyBytes, canPostcopyBytes } = (entry.iterable as IterableInit).pending(false);
      if (mustPrecopyBytes + canPostcopyBytes === 0) continue;
      const from = this.#continue(entry, "part");
      this.#guard(entry, "iterate", (iterable) => iterable.iterate(this.#writer.out, left));
      this.#close(entry, "part", from);
      left -= this.#offset() - from;
      yield* this.#flush();
    }
    yield* this.#flush(0);
  }

  *complete(): Iterable<Uint8Array> {
    this.#expect("set-up");
    yield* this.#ends();
    for (const entry of this.#registry.inSaveOrder()) {
      this.#refuseRunning();
      if (!entry.description?.earlySetup) yield* this.#section(entry, "full");
    }
    yield* this.#last();
  }

  command(command: StreamCommand): Uint8Array {
    this.#expect("set-up", "switched", "packaged");
    if (this.#inSection) {
      throw new MigrationError("SECTION_ORDER", "a command stands between sections", { side: "source" });
    }
    this.#commands([command]);
    return this.#take();
  }

  *switchOver(): Iterable<Uint8Array> {
    this.#expect("set-up");
    yield* this.#ends(false);
    yield* this.#flush(0);
    this.#step = "switched";
  }

  package(before: readonly StreamCommand[], after: readonly StreamCommand[]): Uint8Array {
    this.#expect("switched");
    this.#refuseRunning();
    const { out } = this.#writer;
    this.#writer.command(packagedCommand, new Uint8Array(4));
    const from = out.pos;
    this.#commands(before);
    for (const entry of this.#registry.inSaveOrder()) if (!entry.description?.earlySetup) this.#whole(entry, "full");
    this.#commands(after);
    out.view.setUint32(from - 4, out.pos - from);
    this.#step = "packaged";
    return this.#take();
  }

  *finish(): Iterable<Uint8Array> {
    this.#expect("packaged");
    yield* this.#ends(true);
    yield* this.#last(false);
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
    for (const iterable of this.#begun) attempt(failures, () => iterable.cleanup(completed));
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

  /** All iterables; or those alone that post-copy can serve, or that it cannot. */
  #iterables(postcopy?: boolean): Entry[] {
    return this.#registry.inSaveOrder().filter(({ iterable }) => {
      return iterable !== undefined && (postcopy === undefined || (iterable.postcopy === true) === postcopy);
    });
  }

  *#ends(postcopy?: boolean): Iterable<Uint8Array> {
    for (const entry of this.#iterables(postcopy)) {
      this.#refuseRunning();
      const from = this.#continue(entry, "end");
      try {
        while (!this.#completes(entry)) {
          yield* this.#flush();
          this.#refuseRunning();
        }
      } finally {
        // Also where nobody wants the rest: in post-copy another connection begins anew.
        this.#inSection = false;
      }
      this.#close(entry, "end", from);
      yield* this.#flush();
    }
  }

  *#last(describe?: false): Iterable<Uint8Array> {
    this.#refuseRunning();
    yield* this.#flush(0);
    this.#finish(describe);
    yield* this.#flush(0);
    // The end of post-copy may be lost on its way, and come again by another connection.
    if (describe === undefined) this.#step = "completed";
  }

  #commands(commands: readonly StreamCommand[]): void {
    for (const { command, payload } of commands) this.#writer.command(command, payload);
  }

  #continue(entry: Entry, phase: "part" | "end"): number {
    const from = this.#offset();
    this.#inSection = true;
    this.#writer.continue(phase, entry.sectionId);
    return from;
  }

  *#section(entry: Entry, phase: "start" | "full"): Iterable<Uint8Array> {
    this.#whole(entry, phase);
    yield* this.#flush();
  }

  #whole(entry: Entry, phase: "start" | "full"): void {
    const from = this.#offset();
    if (phase === "start") this.#start(entry);
    else this.#full(entry);
    if (this.#offset() > from) this.#summarise(entry, phase, from);
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
      throw failureOf(error, "the device's save threw", at);
    }
  }

  #close(entry: Entry, phase: Phase, from: number): void {
    this.#writer.footer(entry.sectionId);
    this.#inSection = false;
    this.#summarise(entry, phase, from);
  }

  #finish(describe?: false): void {
    try {
      this.#writer.finish(describe);
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
    if (this.#writer.out.pos > over) yield this.#reuse ? this.#lend() : this.#take();
  }

  /** A view: what is written next comes only when the caller asks for it. */
  #lend(): Uint8Array {
    const { out } = this.#writer;
    const chunk = out.written();
    this.#flushed += chunk.length;
    out.pos = 0;
    return chunk;
  }

  #take(): Uint8Array {
    const chunk = this.#writer.out.flush();
    this.#flushed += chunk.length;
    return chunk;
  }

  /** Calls an iterable handler; what it throws is told as its own, at the place in the stream where it was called. */
  #guard<T>(entry: Entry, what: string, call: (iterable: IterableInit) => T): T {
    const offset = this.#offset();
    try {
      return call(entry.iterable as IterableInit);
    } catch (error) {
      const at = { side: "source" as const, section: sectionKey(entry), version: entry.version, offset };
      throw failureOf(error, `the handler's ${what} threw`, at);
    }
  }

  #expect(...steps: Step[]): void {
    if (!steps.includes(this.#step)) {
      throw new MigrationError("ATTEMPT_ENDED", "the outgoing attempt is not at this phase", {
        side: "source",
        expected: steps.join(" or "),
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
