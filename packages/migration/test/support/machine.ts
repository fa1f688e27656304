// A small machine with memory that its guest keeps writing to. Its stream is its own; the engine does not look into it.
import {
  contract,
  type IncomingAttempt,
  type LoadReport,
  type Manifest,
  type OutgoingAttempt,
  type SectionSummary,
} from "@godwit/core";
import type { MigratableMachine, RamCounters } from "@godwit/migration";

const pageBytes = 4096;

/** The stream: records of a type byte, a big-endian page number or counter, and for pages their bytes. */
const record = { setup: 1, page: 2, device: 3, end: 4 } as const;

export type Step =
  | "manifest"
  | "outgoing"
  | "setup"
  | "iterate"
  | "quiesce"
  | "pause"
  | "complete"
  | "attempt-end"
  | "resume"
  | "incoming"
  | "push"
  | "end"
  | "prepare"
  | "commit"
  | "discard";

export interface MachineOptions {
  readonly pages?: number;
  readonly running?: boolean;
  /** Pages that the guest writes in each turn. */
  readonly dirtyPagesPerTick?: number;
  /** It can be slowed down. */
  readonly throttles?: boolean;
  /** Throws at this step, the n-th time it comes (1 is the first). */
  readonly failAt?: { readonly step: Step; readonly time?: number; readonly error?: Error };
  readonly manifest?: Partial<Manifest>;
  /** Turns of the event loop that quiesce takes. */
  quiesce?(): Promise<void>;
  prepare?(): Promise<void>;
  commit?(): Promise<void>;
}

export class TestMachine implements MigratableMachine {
  readonly memory: Uint8Array;
  readonly log: Step[] = [];
  readonly dirty = new Set<number>();
  /** Everything that this machine sent, and everything that it was given. */
  readonly sent: Uint8Array[] = [];
  readonly received: Uint8Array[] = [];
  isRunning: boolean;
  throttle: ((fraction: number) => void) | undefined;
  /** The fraction of the guest's turns that it loses, and all that it ever lost. */
  slowdown = 0;
  readonly slowdowns: number[] = [];
  #lostTurns = 0;
  /** Between quiesce and resume nothing new is begun. */
  isHeld = false;
  ticks = 0;
  counters: RamCounters = { duplicatePages: 0, normalPages: 0, pageBytes };
  readonly #options: MachineOptions;
  readonly #times = new Map<Step, number>();
  #random = 12345;

  constructor(options: MachineOptions = {}) {
    this.#options = options;
    this.memory = new Uint8Array((options.pages ?? 64) * pageBytes);
    this.isRunning = options.running ?? true;
    if (options.throttles !== true) return;
    this.throttle = (fraction) => {
      this.slowdown = fraction;
      this.slowdowns.push(fraction);
    };
  }

  get pages(): number {
    return this.memory.length / pageBytes;
  }

  /** The guest's turn. */
  tick(): void {
    if (!this.isRunning) return;
    this.#lostTurns += this.slowdown;
    if (this.#lostTurns >= 1) {
      this.#lostTurns--;
      return;
    }
    this.ticks++;
    for (let i = 0; i < (this.#options.dirtyPagesPerTick ?? 0); i++) {
      this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
      const page = this.#random % this.pages;
      this.memory[page * pageBytes + (this.#random & 0xfff)] = this.#random >>> 24;
      this.dirty.add(page);
    }
  }

  fill(seed: number): void {
    for (let i = 0; i < this.memory.length; i++) this.memory[i] = (Math.imul(i ^ seed, 2654435761) >>> 24) & 0xff;
  }

  manifest(): Manifest {
    this.step("manifest");
    return {
      contract,
      machineType: "test-machine",
      sections: [{ idstr: "ram", instance: 0, version: 4, minimumVersion: 4, subsections: [], optional: false }],
      reads: [],
      kinds: [],
      ramBlocks: [{ idstr: "ram", bytes: this.memory.length }],
      plugins: [],
      ...this.#options.manifest,
    };
  }

  async quiesce(): Promise<void> {
    this.isHeld = true;
    this.step("quiesce");
    await this.#options.quiesce?.();
  }

  pause(): void {
    this.step("pause");
    this.isRunning = false;
  }

  resume(): void {
    this.step("resume");
    if (this.isRunning) throw new Error("resume of a machine that runs");
    this.isRunning = true;
    this.isHeld = false;
  }

  outgoing(): OutgoingAttempt {
    this.step("outgoing");
    return new TestOutgoing(this);
  }

  incoming(): IncomingAttempt {
    this.step("incoming");
    return new TestIncoming(this, this.#options);
  }

  failsAt(step: Step): boolean {
    return this.#options.failAt?.step === step;
  }

  step(step: Step): void {
    const time = (this.#times.get(step) ?? 0) + 1;
    this.#times.set(step, time);
    this.log.push(step);
    const { failAt } = this.#options;
    if (failAt?.step === step && (failAt.time ?? 1) === time) throw failAt.error ?? new Error(`${step} failed`);
  }
}

class TestOutgoing implements OutgoingAttempt {
  readonly sections: SectionSummary[] = [];
  readonly #machine: TestMachine;
  /** What the last synchronisation found, less what was sent since. */
  readonly #toSend = new Set<number>();
  #isOver = false;
  #offset = 0;

  constructor(machine: TestMachine) {
    this.#machine = machine;
  }

  *setup(): Iterable<Uint8Array> {
    this.#machine.step("setup");
    for (let page = 0; page < this.#machine.pages; page++) this.#toSend.add(page);
    this.#machine.dirty.clear();
    yield* this.#section("start", [word(record.setup, this.#machine.pages)]);
  }

  pending(exact: boolean) {
    if (exact) this.#synchronise();
    return { mustPrecopyBytes: 0, canPostcopyBytes: this.#toSend.size * pageBytes };
  }

  *iterate(budgetBytes: number): Iterable<Uint8Array> {
    this.#machine.step("iterate");
    const pages = [...this.#toSend].slice(0, Math.max(1, Math.floor(budgetBytes / pageBytes)));
    yield* this.#section("part", this.#pages(pages));
  }

  *complete(): Iterable<Uint8Array> {
    this.#machine.step("complete");
    if (this.#machine.isRunning) throw new Error("complete while the machine runs");
    this.#synchronise();
    yield* this.#section("end", this.#pages([...this.#toSend]));
    yield* this.#section("full", [word(record.device, this.#machine.ticks), word(record.end, 0)]);
  }

  command(): Uint8Array {
    throw new Error("this machine's stream has no commands");
  }

  switchOver(): Iterable<Uint8Array> {
    throw new Error("this machine knows no post-copy");
  }

  package(): Uint8Array {
    throw new Error("this machine knows no post-copy");
  }

  finish(): Iterable<Uint8Array> {
    throw new Error("this machine knows no post-copy");
  }

  end(completed: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#machine.step("attempt-end");
    if (!completed) for (let page = 0; page < this.#machine.pages; page++) this.#machine.dirty.add(page);
  }

  #synchronise(): void {
    for (const page of this.#machine.dirty) this.#toSend.add(page);
    this.#machine.dirty.clear();
  }

  *#pages(pages: readonly number[]): Iterable<Uint8Array> {
    const { counters } = this.#machine;
    this.#machine.counters = { ...counters, normalPages: counters.normalPages + pages.length };
    for (const page of pages) {
      this.#toSend.delete(page);
      yield word(record.page, page);
      yield this.#machine.memory.slice(page * pageBytes, (page + 1) * pageBytes);
    }
  }

  *#section(phase: SectionSummary["phase"], chunks: Iterable<Uint8Array>): Iterable<Uint8Array> {
    const offset = this.#offset;
    for (const chunk of chunks) {
      this.#machine.sent.push(chunk.slice());
      this.#offset += chunk.length;
      yield chunk;
      // What was given out is the sender's only until it asks for more.
      chunk.fill(0xee);
    }
    this.sections.push({ idstr: "ram", instance: 0, version: 4, phase, offset, bytes: this.#offset - offset });
  }
}

class TestIncoming implements IncomingAttempt {
  readonly allocatedBytes = 0;
  readonly #machine: TestMachine;
  readonly #options: MachineOptions;
  readonly #staged: Uint8Array;
  #held = new Uint8Array(0);
  #ticks = 0;
  #isWhole = false;
  #isOver = false;

  constructor(machine: TestMachine, options: MachineOptions) {
    this.#machine = machine;
    this.#options = options;
    this.#staged = new Uint8Array(machine.memory.length);
  }

  push(chunk: Uint8Array): void {
    this.#machine.step("push");
    this.#machine.received.push(chunk.slice());
    this.#held = concat([this.#held, chunk]);
    let at = 0;
    for (let size = this.#next(at); size > 0; size = this.#next(at)) at += size;
    this.#held = this.#held.slice(at);
    chunk.fill(0xee);
  }

  get streamEnd(): "open" | "whole" {
    return this.#isWhole ? "whole" : "open";
  }

  restart(): void {
    throw new Error("this machine knows no post-copy");
  }

  end(): void {
    this.#machine.step("end");
    if (!this.#isWhole || this.#held.length > 0) throw new Error("the stream is not whole");
  }

  async prepare(): Promise<void> {
    this.#machine.step("prepare");
    await this.#options.prepare?.();
  }

  async commit(): Promise<LoadReport> {
    this.#machine.step("commit");
    if (this.#isOver) throw new Error("commit after the end of the attempt");
    this.#isOver = true;
    this.#machine.memory.set(this.#staged);
    this.#machine.ticks = this.#ticks;
    await this.#options.commit?.();
    return { machineType: "test-machine", sections: [], loadOrder: ["ram/0"], notes: [], bytes: 0 };
  }

  discard(): void {
    if (this.#isOver) return;
    this.#machine.step("discard");
    this.#isOver = true;
  }

  fork(): IncomingAttempt {
    throw new Error("not in these tests");
  }

  /** Reads one record. Its size, or 0 if it is not complete. */
  #next(at: number): number {
    if (this.#held.length - at < 5) return 0;
    const type = this.#held[at];
    const value = new DataView(this.#held.buffer).getUint32(at + 1);
    if (type === record.page) {
      if (this.#held.length - at < 5 + pageBytes) return 0;
      this.#staged.set(this.#held.subarray(at + 5, at + 5 + pageBytes), value * pageBytes);
      return 5 + pageBytes;
    }
    if (type === record.device) this.#ticks = value;
    if (type === record.end) this.#isWhole = true;
    return 5;
  }
}

export function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function word(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, value);
  return bytes;
}
