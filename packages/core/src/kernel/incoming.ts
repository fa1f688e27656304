// One attempt to receive: decode everything, check everything, and only then apply. Until commit the machine knows
// nothing of it.
import type { IncomingAttempt, LoadReport, Machine, SectionSummary, StagedIterable } from "../contract.ts";
import { isMigrationError, MigrationError } from "../errors.ts";
import type { OldSection, Succession } from "../registry/former.ts";
import type { Entry, Registry } from "../registry/registry.ts";
import { schedule } from "../registry/schedule.ts";
import type { Configuration } from "../stream/configuration.ts";
import type { StreamEvent } from "../stream/events.ts";
import { BareReader } from "../stream/reader.ts";
import { type Phase, type SectionHead, sectionKey } from "../stream/sections.ts";
import { type BodyDecoder, recordDecoder, toState } from "../vmstate/codec.ts";
import type { AnyRecord, Description, WireRecord } from "../vmstate/types.ts";
import { cloneValue } from "../vmstate/values.ts";
import { Writer } from "../writer.ts";
import type { VirtualClock } from "./clock.ts";
import { offsetOf } from "./locate.ts";
import { type ArrivedRecord, begun, type HandOn, type Succeeded, succeed } from "./succeed.ts";
import { atOnce } from "./synchronous.ts";
import { Takeover } from "./takeover.ts";
import { CheckedStates } from "./view.ts";

type Note = LoadReport["notes"][number];

interface Arrived {
  configuration: Configuration | undefined;
  readonly records: Map<Entry, ArrivedRecord>;
  /** Sections of earlier releases. */
  readonly former: Map<OldSection, ArrivedRecord>;
  successions: ReadonlySet<Succession>;
  readonly sections: SectionSummary[];
  readonly notes: Note[];
}

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

type Step = "receiving" | "received" | "prepared" | "committed" | "ended";

const footerBytes = 5;
const sideOf = { side: "destination" as const };
/** Commands that say nothing which a plain load would have to act on. */
const harmlessCommands = new Set(["SWITCHOVER_START"]);

export class Incoming implements IncomingAttempt {
  readonly #host: IncomingHost;
  readonly #staged: Map<Entry, StagedIterable>;
  readonly #arrived: Arrived;
  readonly #reader: BareReader;
  readonly #isFork: boolean;
  readonly #lineage: Lineage;
  /** The machine's own, or a fork of it that has what this attempt plugs in as well. */
  #registry: Registry;
  readonly #plugged: Set<Entry>;
  /** What the machine was made of when the attempt began. */
  readonly #revision: number;
  #prepared: Prepared | undefined;
  #step: Step = "receiving";
  #failure: unknown;

  constructor(host: IncomingHost, from?: Incoming) {
    this.#host = host;
    this.#isFork = from !== undefined;
    this.#lineage = from === undefined ? { forkFed: false, ended: false } : from.#lineage;
    this.#staged = from === undefined ? new Map() : from.#staged;
    this.#arrived =
      from === undefined
        ? {
            configuration: undefined,
            records: new Map(),
            former: new Map(),
            successions: new Set(),
            sections: [],
            notes: [],
          }
        : {
            ...from.#arrived,
            records: new Map(from.#arrived.records),
            former: new Map(from.#arrived.former),
            sections: [...from.#arrived.sections],
            notes: [...from.#arrived.notes],
          };
    const plugged = from === undefined ? [] : [...from.#plugged];
    this.#registry = from === undefined || plugged.length === 0 ? host.registry : from.#registry.fork();
    this.#plugged = new Set(plugged);
    this.#revision = host.registry.revision;
    const options = {
      known: { bytes: host.preamble, configuration: host.configuration },
      open: (head: SectionHead, phase: Phase, previous: unknown) => this.#open(head, phase, previous),
    };
    this.#reader = new BareReader(options, undefined, from === undefined ? undefined : from.#reader);
  }

  push(chunk: Uint8Array): void {
    this.#expect("receiving");
    if (this.#isFork) this.#lineage.forkFed = true;
    this.#guarded(() => this.#take(this.#reader.push(chunk)));
  }

  end(): void {
    this.#expect("receiving");
    this.#guarded(() => {
      this.#take(this.#reader.end());
      this.#requireAll();
    });
    this.#step = "received";
  }

  async prepare(): Promise<void> {
    this.prepareNow();
  }

  /** Synchronous `prepare`: nothing in it waits as long as all memory has arrived. */
  prepareNow(): void {
    this.#expect("received");
    this.#guarded(() => {
      const { registry, first, order: known } = this.#host;
      const order = this.#registry === registry ? known : schedule(this.#registry, first).order;
      const states = new CheckedStates(this.#registry, (entry) => this.#stagedOf(entry));
      const succeeded = succeed(this.#arrived.former, this.#arrived.successions);
      for (const entry of order) {
        const arrived = this.#arrived.records.get(entry);
        const successor = succeeded.states.get(entry);
        if (arrived !== undefined) this.#check(entry, arrived, states);
        else if (successor !== undefined) this.#checkSuccessor(entry, successor, states);
        // What was not needed on the source is what its absence means, whatever the device holds here.
        else if (entry.description?.needed !== undefined)
          states.set(entry, cloneValue(entry.description.absent as AnyRecord));
      }
      this.#prepared = { order, states, handOns: succeeded.handOns };
    });
    this.#step = "prepared";
  }

  async commit(): Promise<LoadReport> {
    const { takeover, report } = this.#takeOver(new Writer());
    try {
      await takeover.ready();
    } catch (error) {
      this.#over("ended");
      throw error;
    }
    this.#over("committed");
    return report;
  }

  /** `commit` without waiting for `ready`. `scratch` is for the way back, and free afterwards. */
  commitNow(scratch: Writer): LoadReport {
    const { report } = this.#takeOver(scratch);
    this.#over("committed");
    return report;
  }

  discard(): void {
    if (this.#step === "committed" || this.#step === "ended") return;
    if (this.#isFork) this.#step = "ended";
    else this.#over("ended");
  }

  #takeOver(scratch: Writer): { takeover: Takeover; report: LoadReport } {
    if (this.#step === "received") this.prepareNow();
    this.#expect("prepared");
    const { order, states, handOns } = this.#prepared as Prepared;
    const taken = order
      .filter((entry) => states.has(entry))
      .map((entry) => ({ entry, state: states.get(entry), isPlugged: this.#plugged.has(entry) }));
    const takeover = new Takeover(taken, [...this.#staged.values()], handOns, this.#host, scratch);
    this.#guarded(() => {
      this.#refuseTornMemory();
      if (this.#host.registry.revision !== this.#revision) {
        const detail = "another attempt has made or removed devices since this one began";
        throw new MigrationError("REGISTRY_FROZEN", detail, sideOf);
      }
      if (this.#host.clock.running) {
        throw new MigrationError("CLOCK_RUNNING", "a state is loaded into a machine that stands", sideOf);
      }
      takeover.apply();
    });
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
      for (const staged of this.#staged.values()) {
        try {
          staged.discard();
        } catch (error) {
          failures.push(error);
        }
      }
    }
    this.#staged.clear();
    this.#host.onEnd();
    // The error that ended the attempt says more than one of clearing up after it.
    if (failures.length > 0 && this.#failure === undefined) {
      throw new MigrationError("DEVICE_FAILED", "a handler's discard threw", { ...sideOf, cause: failures[0] });
    }
  }

  fork(): Incoming {
    this.#expect("receiving");
    return new Incoming({ ...this.#host, onEnd: () => {} }, this);
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
      if (entry.description === undefined) throw wrongPhase(phase);
      if (this.#arrived.records.has(entry))
        throw new MigrationError("SECTION_DUPLICATE", "two sections are for the same device");
      return recordDecoder(entry.description, head.version, false);
    }
    if (entry.iterable === undefined) throw wrongPhase(phase);
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

  #take(events: readonly StreamEvent[]): void {
    for (const event of events) {
      if (event.type === "configuration") this.#configure(event.configuration, event.offset);
      else if (event.type === "note") this.#arrived.notes.push({ code: event.code, text: event.text });
      else if (event.type === "command" && !harmlessCommands.has(event.name)) {
        throw new MigrationError("COMMAND_UNEXPECTED", `a plain load cannot serve the command ${event.name}`, {
          ...sideOf,
          section: "command",
          path: "command",
          offset: event.offset,
        });
      } else if (event.type === "section") {
        const { head, phase, value, offset, bytes, bodyBytes } = event;
        const record = { record: value as WireRecord, version: head.version };
        const bodyOffset = offset + bytes - footerBytes - bodyBytes;
        const entry = this.#registry.find(head.idstr, head.instance);
        const old = this.#registry.former(head.idstr, head.instance);
        if (phase === "full" && entry !== undefined)
          this.#arrived.records.set(entry, { ...record, offset: bodyOffset });
        else if (phase === "full") this.#arrived.former.set(old as OldSection, { ...record, offset: bodyOffset });
        this.#arrived.sections.push({
          idstr: head.idstr,
          instance: head.instance,
          version: head.version,
          phase,
          offset,
          bytes,
        });
      }
    }
  }

  #configure(found: Configuration, offset: number): void {
    const own = this.#host.configuration;
    const refuse = (
      code: "MACHINE_MISMATCH" | "CONFIGURATION_MISMATCH" | "CAPABILITY_MISMATCH",
      path: string,
      expected: unknown,
      got: unknown,
    ): never => {
      throw new MigrationError(code, "source and destination are configured differently", {
        ...sideOf,
        section: "configuration",
        path,
        // Behind the type byte and the length stands the name; the rest may stand anywhere behind it.
        offset: path === "name" ? offset + 5 : offset,
        expected: String(expected),
        found: String(got),
      });
    };
    if (found.machineType !== own.machineType) refuse("MACHINE_MISMATCH", "name", own.machineType, found.machineType);
    if (found.pageBits !== own.pageBits)
      refuse("CONFIGURATION_MISMATCH", "targetPageBits.page_bits", own.pageBits, found.pageBits);
    const [mine, theirs] = [own.capabilities.toSorted().join(" "), found.capabilities.toSorted().join(" ")];
    if (mine !== theirs) refuse("CAPABILITY_MISMATCH", "capabilities", mine || "none", theirs || "none");
    if (own.uuid !== undefined && found.uuid !== undefined && own.uuid.some((byte, i) => byte !== found.uuid?.[i])) {
      refuse("CONFIGURATION_MISMATCH", "uuid.uuid", own.uuid, found.uuid);
    }
    this.#arrived.configuration = found;
  }

  /** A device that got nothing would run on in its reset state beside devices that remember. */
  #requireAll(): void {
    if (this.#arrived.configuration === undefined) {
      throw new MigrationError("SECTION_MISSING", "the stream does not say of which machine it is", {
        ...sideOf,
        section: "configuration",
        offset: 8,
      });
    }
    const { former, records, sections } = this.#arrived;
    const successions = begun(former, (entry) => records.has(entry), this.#reader.offset);
    this.#arrived.successions = successions;
    const succeeded = new Set([...successions].flatMap(({ into }) => into));
    for (const entry of this.#registry.inSaveOrder()) {
      const optional = entry.description?.needed !== undefined;
      const missing =
        (entry.device !== undefined && !optional && !records.has(entry) && !succeeded.has(entry)) ||
        (entry.iterable !== undefined &&
          !sections.some((s) => s.phase === "end" && this.#registry.find(s.idstr, s.instance) === entry));
      if (!missing) continue;
      throw new MigrationError("SECTION_MISSING", "the stream ended without this section", {
        ...sideOf,
        section: sectionKey(entry),
        offset: this.#reader.offset,
      });
    }
  }

  #check(entry: Entry, { record, version, offset }: ArrivedRecord, states: CheckedStates): void {
    const section = sectionKey(entry);
    const description = entry.description as Description;
    this.#ask(
      entry,
      section,
      version,
      () => toState(description, record, version) as AnyRecord,
      states,
      (path) => {
        return offset + offsetOf(description, record, version, path);
      },
    );
  }

  /** Errors are about what was on the wire: the old section, and in it the field, where both have the same. */
  #checkSuccessor(entry: Entry, { state, old, arrived }: Succeeded, states: CheckedStates): void {
    const { record, version, offset } = arrived;
    const [section, former] = [sectionKey(entry), sectionKey(old)];
    this.#arrived.notes.push({ code: "former", section, text: `from ${former} version ${version}` });
    this.#ask(
      entry,
      former,
      version,
      () => state,
      states,
      (path) => {
        return old.succession.keepsPaths ? offset + offsetOf(old.description, record, version, path) : offset;
      },
    );
  }

  #ask(
    entry: Entry,
    section: string,
    version: number,
    read: () => AnyRecord,
    states: CheckedStates,
    offsetAt: (path: string | undefined) => number,
  ): void {
    try {
      let state = read();
      const result = atOnce(entry.device?.check?.(state, states.viewOf(entry)), "DEVICE_ASYNC", "check");
      if (result !== undefined && "missing" in result) {
        throw new MigrationError("MEMORY_UNMAPPED", "the check needs memory that did not arrive", {
          found: `${result.missing.block}+0x${result.missing.offset.toString(16)}`,
        });
      }
      if (result !== undefined) {
        state = result.amended;
        this.#arrived.notes.push({ code: "amended", section: sectionKey(entry), text: result.note });
      }
      states.set(entry, state);
    } catch (error) {
      throw isMigrationError(error)
        ? error.at({ ...sideOf, section, version, offset: offsetAt(pathOf(error)) })
        : new MigrationError("DEVICE_FAILED", "the device's check threw", {
            ...sideOf,
            section,
            version,
            cause: error,
          });
    }
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failure = error;
      this.discard();
      throw isMigrationError(error) ? error.at(sideOf) : error;
    }
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

function pathOf(error: unknown): string | undefined {
  return isMigrationError(error) ? error.location.path : undefined;
}

function wrongPhase(phase: Phase): MigrationError {
  return new MigrationError("SECTION_ORDER", `this section has no ${phase.toUpperCase()} here`, { found: phase });
}
