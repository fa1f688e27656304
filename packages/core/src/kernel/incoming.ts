// One attempt to receive: decode everything, check everything, and only then apply. Until commit the machine knows
// nothing of it.
import type { IncomingAttempt, IncomingInit, LoadReport, Machine, StagedIterable } from "../contract.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import type { OldSection, Succession } from "../registry/former.ts";
import type { Entry, Registry } from "../registry/registry.ts";
import { schedule } from "../registry/schedule.ts";
import type { Configuration } from "../stream/configuration.ts";
import type { StreamEvent } from "../stream/events.ts";
import { BareReader, type StreamEnd } from "../stream/reader.ts";
import { type Phase, type SectionHead, sectionKey } from "../stream/sections.ts";
import { type BodyDecoder, recordDecoder } from "../vmstate/codec.ts";
import { Writer } from "../writer.ts";
import { Arrived } from "./arrived.ts";
import { check, type MissingMemory } from "./checking.ts";
import type { VirtualClock } from "./clock.ts";
import { type HandOn, presentStates } from "./succeed.ts";
import { Takeover } from "./takeover.ts";
import { attempt } from "./thrown.ts";
import { CheckedStates } from "./view.ts";

/** What an attempt needs of the kernel. */
export interface IncomingHost {
  readonly registry: Registry;
  readonly configuration: Configuration;
  /** What a stream of this machine begins with. */
  readonly preamble: Uint8Array;
  readonly machine: Machine | undefined;
  readonly clock: VirtualClock;
  /** Loaded before everything else: the clock, which others arm their timers on. */
  readonly first: Entry;
  /** The entries of `registry` in the order in which they are checked and loaded. */
  readonly order: readonly Entry[];
  /** Makes the device that a stream names and nothing here has, if one of its kind can be made. */
  readonly plug: (head: SectionHead, registry: Registry) => Entry | undefined;
  /** Makes a plugged device part of the machine; `undo` gets what takes it out again. */
  readonly adopt: (entry: Entry, undo: (() => void)[]) => void;
  /** A state is put in place from now on, until the function is called. `ATTEMPT_ACTIVE` where that may not be. */
  readonly takeOver: () => () => void;
  /** The attempt is over: the registry thaws. */
  readonly onEnd: () => void;
}

interface Prepared {
  readonly order: readonly Entry[];
  readonly states: CheckedStates;
  readonly handOns: readonly HandOn[];
}

/** What an attempt and its forks have in common. */
interface Lineage {
  forkFed: boolean;
  ended: boolean;
}

type Step = "receiving" | "received" | "preparing" | "prepared" | "committing" | "committed" | "ended";

/** QEMU's MIG_CMD_POSTCOPY_LISTEN: from here on the machine may be taken over before its memory has come. */
const listenCommand = 4;

const sideOf = { side: "destination" as const };

export class Incoming implements IncomingAttempt {
  readonly #host: IncomingHost;
  readonly #init: IncomingInit;
  readonly #staged: Map<Entry, StagedIterable>;
  readonly #arrived: Arrived;
  readonly #reader: BareReader;
  readonly #isFork: boolean;
  readonly #lineage: Lineage;
  /** The machine's own, or a fork of it that has what this attempt plugs in as well. */
  #registry: Registry;
  readonly #plugged: Set<Entry>;
  /** Devices whose section has begun. */
  readonly #claimed: Set<Entry>;
  /** What the machine was made of when the attempt began. */
  readonly #revision: number;
  #successions: ReadonlySet<Succession> = new Set();
  #prepared: Prepared | undefined;
  #step: Step = "receiving";
  /** Bytes may still come: in post-copy beside the other steps. */
  #isFed = true;
  #isPostcopy = false;
  #failure: unknown;

  constructor(host: IncomingHost, init: IncomingInit, from?: Incoming) {
    this.#host = host;
    this.#init = init;
    this.#isFork = from !== undefined;
    this.#lineage = from === undefined ? { forkFed: false, ended: false } : from.#lineage;
    this.#staged = from === undefined ? new Map() : from.#staged;
    this.#arrived = from === undefined ? new Arrived(host.configuration) : from.#arrived.fork();
    const plugged = from === undefined ? [] : [...from.#plugged];
    this.#registry = from === undefined || plugged.length === 0 ? host.registry : from.#registry.fork();
    this.#plugged = new Set(plugged);
    this.#claimed = new Set(from === undefined ? [] : from.#claimed);
    this.#revision = host.registry.revision;
    const options = {
      known: { bytes: host.preamble, configuration: host.configuration },
      open: (head: SectionHead, phase: Phase, previous: unknown) => this.#open(head, phase, previous),
      ...(init.onCommand && {
        command: (command: Extract<StreamEvent, { type: "command" }>, before: StreamEvent[]) => {
          this.#arrived.take(before.splice(0), this.#registry);
          if (command.command === listenCommand) this.#isPostcopy = true;
          init.onCommand?.(command);
          this.#expectFed();
        },
      }),
    };
    this.#reader = new BareReader(options, undefined, from === undefined ? undefined : from.#reader);
  }

  push(chunk: Uint8Array): void {
    this.#expectFed();
    if (this.#isFork) this.#lineage.forkFed = true;
    this.#fed(() => this.#arrived.take(this.#reader.push(chunk), this.#registry));
  }

  end(): void {
    this.#expectFed();
    this.#fed(() => {
      this.#arrived.take(this.#reader.end(), this.#registry);
      this.#successions = this.#arrived.requireAll(this.#registry, this.#reader.offset);
      if (this.#isPostcopy) for (const staged of this.#staged.values()) staged.finish?.();
    });
    this.#isFed = false;
    if (this.#step === "receiving") this.#step = "received";
    else if (this.#step === "committed") this.#over("committed");
  }

  restart(): void {
    this.#expectFed();
    if (!this.#isPostcopy) this.#expect("received");
    this.#reader.restart();
  }

  async prepare(): Promise<void> {
    if (!this.#isPostcopy || this.#step !== "receiving") return this.prepareNow();
    const checks = this.#checks(true);
    for (;;) {
      const next = this.#guarded(() => checks.next());
      if (next.done) return;
      try {
        await this.#present(next.value);
      } catch (error) {
        this.#end(error);
        throw error;
      }
    }
  }

  /** Synchronous `prepare`: nothing in it waits as long as all memory has arrived. */
  prepareNow(): void {
    this.#expect("received");
    this.#guarded(() => this.#checks(false).next());
  }

  /** Checks one device after another, and gives what a check has to wait for. */
  *#checks(isEarly: boolean): Generator<MissingMemory, void> {
    if (isEarly) this.#successions = this.#arrived.requireAll(this.#registry, this.#reader.offset, true);
    const waits = isEarly && [...this.#staged.values()].some((staged) => staged.present !== undefined);
    this.#step = "preparing";
    const { registry, first, order: known } = this.#host;
    const order = this.#registry === registry ? known : schedule(this.#registry, first).order;
    const succeeded = presentStates(this.#arrived.former, this.#successions);
    for (const { from, into, handOn } of this.#successions) {
      const text = handOn ? "handed on" : "dropped";
      if (!into[0]) this.#arrived.notes.push({ code: "retired", section: sectionKey(from[0] as OldSection), text });
    }
    const states = new CheckedStates(this.#registry, (entry) => this.#stagedOf(entry));
    for (const entry of order) {
      for (;;) {
        const missing = check(entry, this.#arrived, succeeded.states, states, waits);
        if (missing === undefined) break;
        yield missing;
        this.#expect("preparing");
      }
    }
    this.#prepared = { order, states, handOns: succeeded.handOns };
    this.#step = "prepared";
  }

  async #present({ block, offset }: MissingMemory): Promise<void> {
    for (const staged of this.#staged.values()) await staged.present?.(block, offset);
  }

  async commit(): Promise<LoadReport> {
    const done = this.#begin();
    try {
      const { takeover, report } = this.#takeOver(new Writer());
      await takeover.ready();
      this.#taken();
      return report;
    } catch (error) {
      this.#end(error);
      throw error;
    } finally {
      done();
    }
  }

  /** `commit` without waiting for `ready`. `scratch` is for the way back, and free afterwards. */
  commitNow(scratch: Writer): LoadReport {
    const done = this.#begin();
    try {
      const { report } = this.#takeOver(scratch);
      this.#taken();
      return report;
    } finally {
      done();
    }
  }

  /** The machine's state is being put in place: nobody may look at it or change it until that is over. */
  #begin(): () => void {
    if (this.#step === "received") this.prepareNow();
    this.#expect("prepared");
    let done = (): void => {};
    this.#guarded(() => {
      this.#refuseTornMemory();
      if (this.#host.registry.revision !== this.#revision) {
        const detail = "another attempt has made or removed devices since this one began";
        throw new MigrationError("REGISTRY_FROZEN", detail, sideOf);
      }
      if (this.#host.clock.running) {
        throw new MigrationError("CLOCK_RUNNING", "a state is loaded into a machine that stands", sideOf);
      }
      done = this.#host.takeOver();
    });
    this.#step = "committing";
    return done;
  }

  discard(): void {
    if (this.#step === "committing") {
      throw new MigrationError("ATTEMPT_ACTIVE", "the attempt is being committed", sideOf);
    }
    this.#leave();
  }

  #leave(): void {
    if (this.#step === "ended" || (this.#step === "committed" && !this.#isFed)) return;
    if (this.#isFork) this.#step = "ended";
    else this.#over("ended");
  }

  /** The machine is this attempt's. In post-copy that is not its end. */
  #taken(): void {
    for (const staged of this.#staged.values()) staged.settled?.();
    if (!this.#isFed) this.#over("committed");
    else this.#step = "committed";
  }

  #end(error: unknown): void {
    this.#failure = error;
    this.#leave();
  }

  #takeOver(scratch: Writer): { takeover: Takeover; report: LoadReport } {
    const { order, states, handOns } = this.#prepared as Prepared;
    const taken = order
      .filter((entry) => states.has(entry))
      .map((entry) => ({ entry, state: states.get(entry), isPlugged: this.#plugged.has(entry) }));
    const takeover = new Takeover(taken, [...this.#staged.values()], handOns, this.#host, scratch);
    this.#guarded(() => takeover.apply());
    const report: LoadReport = {
      machineType: this.#arrived.configuration?.machineType,
      sections: this.#arrived.sections,
      loadOrder: taken.map(({ entry }) => sectionKey(entry)),
      notes: this.#arrived.notes,
      bytes: this.#reader.offset,
    };
    return { takeover, report };
  }

  /** Staged memory is one for an attempt and its forks: once a fork has been fed, nobody knows whose it is. */
  #refuseTornMemory(): void {
    if (!this.#isFork && !this.#lineage.forkFed) return;
    const detail = this.#isFork ? "a fork cannot be committed" : "an attempt whose fork was fed cannot be committed";
    throw new MigrationError("ATTEMPT_ENDED", `${detail}: they share their staged memory`, sideOf);
  }

  /** The attempt's end, whatever handlers think of it: what is staged is let go, and the registry thaws. */
  #over(step: "committed" | "ended"): void {
    this.#step = step;
    this.#lineage.ended = true;
    const failures: unknown[] = [];
    if (step === "ended") {
      for (const staged of this.#staged.values()) attempt(failures, () => staged.discard());
    }
    this.#staged.clear();
    this.#host.onEnd();
    // The error that ended the attempt says more than one of clearing up after it.
    if (failures.length > 0 && this.#failure === undefined) {
      throw new MigrationError("DEVICE_FAILED", "a handler's discard threw", { ...sideOf, cause: failures[0] });
    }
  }

  get streamEnd(): StreamEnd {
    return this.#reader.streamEnd;
  }

  fork(): Incoming {
    this.#expect("receiving");
    return new Incoming({ ...this.#host, onEnd: () => {} }, this.#init, this);
  }

  /** Bytes allocated on behalf of the stream, staged memory not counted. */
  get allocatedBytes(): number {
    return this.#reader.allocatedBytes;
  }

  #open(head: SectionHead, phase: Phase, previous: unknown): BodyDecoder {
    const old = this.#registry.former(head.idstr, head.instance);
    const entry = this.#registry.find(head.idstr, head.instance) ?? (old === undefined ? this.#plug(head) : undefined);
    if (old !== undefined && entry === undefined) return this.#openFormer(old, head, phase);
    if (entry === undefined) {
      throw new MigrationError(
        "SECTION_UNKNOWN",
        "this machine has no such section; compare how both machines were assembled",
        {
          found: sectionKey(head),
        },
      );
    }
    if (head.version > entry.version) {
      throw new MigrationError("SECTION_VERSION", "the section is newer than what this machine reads", {
        expected: `at most ${entry.version}`,
        found: String(head.version),
      });
    }
    if (phase === "full") {
      // Behind the package devices may be in place already.
      if (entry.description === undefined || (this.#isPostcopy && !this.#reader.inPackage)) throw wrongPhase(phase);
      // Not what has arrived: one push may bring both.
      if (this.#claimed.has(entry)) {
        throw new MigrationError("SECTION_DUPLICATE", "two sections are for the same device", {
          found: sectionKey(entry),
        });
      }
      this.#claimed.add(entry);
      return recordDecoder(entry.description, head.version, false);
    }
    if (entry.iterable === undefined) throw wrongPhase(phase);
    if (this.#isPostcopy && (phase === "start" || entry.iterable.postcopy !== true)) throw wrongPhase(phase);
    return this.#stagedOf(entry).decoder(phase, head.version, previous);
  }

  #openFormer(old: OldSection, { version }: SectionHead, phase: Phase): BodyDecoder {
    if (phase !== "full") throw wrongPhase(phase);
    return recordDecoder(old.description, version, false);
  }

  #plug(head: SectionHead): Entry | undefined {
    const registry = this.#plugged.size === 0 ? this.#host.registry.fork() : this.#registry;
    const entry = this.#host.plug(head, registry);
    if (entry === undefined) return undefined;
    this.#registry = registry;
    this.#plugged.add(entry);
    this.#arrived.notes.push({ code: "plugged", section: sectionKey(entry), text: "the stream names it; it was made" });
    return entry;
  }

  #stagedOf(entry: Entry): StagedIterable {
    let staged = this.#staged.get(entry);
    if (staged === undefined) {
      if (entry.iterable === undefined) throw new Error("only an iterable is staged");
      staged = entry.iterable.stage();
      this.#staged.set(entry, staged);
    }
    return staged;
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#end(error);
      throw isMigrationError(error) ? error.at(sideOf) : error;
    }
  }

  /** What a connection brings. A machine that runs is not given up for a bad one: the rest may come by another. */
  #fed(work: () => void): void {
    if (this.#step !== "committed" && this.#step !== "committing") this.#guarded(work);
    else work();
  }

  #expectFed(): void {
    if (!this.#isFed || !this.#isPostcopy) this.#expect("receiving");
    else if (this.#lineage.ended) this.#expect("committed");
  }

  #expect(step: Step): void {
    if (this.#step !== step || this.#lineage.ended) {
      throw new MigrationError("ATTEMPT_ENDED", "the incoming attempt is not at this phase", {
        ...sideOf,
        expected: step,
        found: this.#step,
      });
    }
  }
}

function wrongPhase(phase: Phase): MigrationError {
  return new MigrationError("SECTION_ORDER", `this section has no ${phase.toUpperCase()} here`, { found: phase });
}
