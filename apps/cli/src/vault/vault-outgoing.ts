// A vault's machine on its way out: RAM by the plugin's handler, the rest as it is held, in the order in which it came.
import {
  type IterableInit,
  MigrationError,
  type OutgoingAttempt,
  type Pending,
  type SectionSummary,
  type StreamCommand,
  utf8Encode,
} from "@godwit/core";
import {
  type SectionHead,
  StreamWriter,
  sectionType,
  vmdescText,
  writeContinuation,
  writeFooter,
  writeHead,
} from "@godwit/core/stream";
import { type CarriedPart, type HeldSection, type VaultContent, writeHeld } from "./content.ts";

const emptyVmdesc = (pageBytes: number): Uint8Array => utf8Encode(vmdescText({ page_size: pageBytes, devices: [] }));

/** A chunk is handed on once this much is written. Bytes. */
const chunkBytes = 256 * 1024;
const packagedCommand = 7;
const source = { side: "source" } as const;

type Step = "new" | "set-up" | "switched" | "packaged" | "completed" | "ended";

export class VaultOutgoing implements OutgoingAttempt {
  readonly sections: SectionSummary[] = [];
  readonly #content: VaultContent;
  readonly #ram: IterableInit;
  readonly #onEnd: (completed: boolean) => void;
  readonly #writer = new StreamWriter({ describe: false });
  #step: Step = "new";
  #flushed = 0;
  #begun = false;
  /** PARTs that were carried and have gone out. */
  #partsSent = 0;
  #inSection = false;

  constructor(content: VaultContent, ram: IterableInit, onEnd: (completed: boolean) => void) {
    this.#content = content;
    this.#ram = ram;
    this.#onEnd = onEnd;
  }

  *setup(commands: readonly StreamCommand[] = []): Iterable<Uint8Array> {
    this.#expect("new");
    this.#step = "set-up";
    this.#writer.header();
    this.#writer.configuration(this.#content.configuration);
    for (const { command, payload } of commands) this.#writer.command(command, payload);
    for (const one of this.#content.setup) {
      if (one === "ram") this.#ramStart();
      else if (one.how === "part") this.#part(one);
      else this.#whole(one);
      yield* this.#flush();
    }
    yield* this.#flush(0);
  }

  pending(exact: boolean): Pending {
    if (this.#step === "completed") return { mustPrecopyBytes: 0, canPostcopyBytes: 0 };
    this.#expect("set-up", "switched", "packaged");
    const { mustPrecopyBytes, canPostcopyBytes } = this.#ram.pending(exact);
    let carriedBytes = 0;
    for (let at = this.#partsSent; at < this.#content.parts.length; at++) {
      carriedBytes += (this.#content.parts[at] as CarriedPart).body.length;
    }
    return { mustPrecopyBytes: mustPrecopyBytes + carriedBytes, canPostcopyBytes };
  }

  *iterate(budgetBytes: number): Iterable<Uint8Array> {
    this.#expect("set-up", "packaged");
    let left = budgetBytes;
    const { mustPrecopyBytes, canPostcopyBytes } = this.#ram.pending(false);
    if (mustPrecopyBytes + canPostcopyBytes > 0) {
      const { head } = this.#content.ram;
      const from = this.#offset();
      writeContinuation(this.#writer.out, "part", head.sectionId);
      this.#ram.iterate(this.#writer.out, left);
      this.#close("part", head, from);
      left -= this.#offset() - from;
      yield* this.#flush();
    }
    for (; left > 0 && this.#step === "set-up" && this.#partsSent < this.#content.parts.length; this.#partsSent++) {
      const part = this.#content.parts[this.#partsSent] as CarriedPart;
      this.#part(part);
      left -= part.body.length;
      yield* this.#flush();
    }
    yield* this.#flush(0);
  }

  command({ command, payload }: StreamCommand): Uint8Array {
    this.#expect("set-up", "switched", "packaged");
    if (this.#inSection) throw new MigrationError("SECTION_ORDER", "a command stands between sections", source);
    this.#writer.command(command, payload);
    return this.#taken();
  }

  *complete(): Iterable<Uint8Array> {
    this.#expect("set-up");
    yield* this.#remainingParts();
    for (const one of this.#content.ends) {
      if (one === "ram") yield* this.#ramEnd();
      else this.#part(one);
      yield* this.#flush();
    }
    for (const section of this.#content.devices) {
      this.#whole(section);
      yield* this.#flush();
    }
    // Behind EOF a QEMU waits for a description, be it one that tells nothing.
    yield* this.#last(this.#content.vmdesc ?? emptyVmdesc(this.#content.pageBytes));
  }

  *switchOver(): Iterable<Uint8Array> {
    this.#expect("set-up");
    yield* this.#remainingParts();
    for (const one of this.#content.ends) if (one !== "ram") this.#part(one);
    yield* this.#flush(0);
    this.#step = "switched";
  }

  package(before: readonly StreamCommand[], after: readonly StreamCommand[]): Uint8Array {
    this.#expect("switched");
    const { out } = this.#writer;
    this.#writer.command(packagedCommand, new Uint8Array(4));
    const from = out.pos;
    for (const { command, payload } of before) this.#writer.command(command, payload);
    for (const section of this.#content.devices) this.#whole(section);
    for (const { command, payload } of after) this.#writer.command(command, payload);
    out.view.setUint32(from - 4, out.pos - from);
    this.#step = "packaged";
    return this.#taken();
  }

  *finish(): Iterable<Uint8Array> {
    this.#expect("packaged");
    yield* this.#ramEnd();
    yield* this.#last(undefined);
  }

  end(completed: boolean): void {
    if (this.#step === "ended") return;
    this.#step = "ended";
    try {
      if (this.#begun) this.#ram.cleanup(completed);
    } finally {
      this.#onEnd(completed);
    }
  }

  *#remainingParts(): Iterable<Uint8Array> {
    for (; this.#partsSent < this.#content.parts.length; this.#partsSent++) {
      this.#part(this.#content.parts[this.#partsSent] as CarriedPart);
      yield* this.#flush();
    }
  }

  *#ramEnd(): Iterable<Uint8Array> {
    const { head } = this.#content.ram;
    const from = this.#offset();
    this.#inSection = true;
    writeContinuation(this.#writer.out, "end", head.sectionId);
    while (!this.#ram.complete(this.#writer.out, chunkBytes)) yield* this.#flush();
    this.#close("end", head, from);
  }

  #ramStart(): void {
    const { head } = this.#content.ram;
    const from = this.#offset();
    writeHead(this.#writer.out, "start", head);
    this.#begun = true;
    this.#ram.setup(this.#writer.out, this.#offset());
    this.#close("start", head, from);
  }

  #part({ phase, head, body }: CarriedPart): void {
    const { out } = this.#writer;
    const from = this.#offset();
    if (phase === "start") writeHead(out, "start", head);
    else writeContinuation(out, phase, head.sectionId);
    out.raw(body);
    this.#close(phase, head, from);
  }

  #whole(section: HeldSection): void {
    const from = this.#offset();
    writeHeld(this.#writer.out, section);
    if (section.how !== "undelimited") this.#summarise("full", section.head, from);
  }

  #close(phase: SectionSummary["phase"], head: SectionHead, from: number): void {
    writeFooter(this.#writer.out, head.sectionId);
    this.#inSection = false;
    this.#summarise(phase, head, from);
  }

  #summarise(phase: SectionSummary["phase"], { idstr, instance, version }: SectionHead, from: number): void {
    this.sections.push({ idstr, instance, version, phase, offset: from, bytes: this.#offset() - from });
  }

  /** EOF begins the last chunk, and nothing stands before it there. */
  *#last(vmdesc: Uint8Array | undefined): Iterable<Uint8Array> {
    yield* this.#flush(0);
    const { out } = this.#writer;
    out.u8(sectionType.eof);
    if (vmdesc !== undefined) {
      out.u8(sectionType.vmdescription);
      out.u32(vmdesc.length);
      out.raw(vmdesc);
    }
    yield* this.#flush(0);
    this.#step = "completed";
  }

  #offset(): number {
    return this.#flushed + this.#writer.out.pos;
  }

  *#flush(over: number = chunkBytes): Iterable<Uint8Array> {
    if (this.#writer.out.pos > over) yield this.#taken();
  }

  #taken(): Uint8Array {
    const chunk = this.#writer.out.flush();
    this.#flushed += chunk.length;
    return chunk;
  }

  #expect(...steps: readonly Step[]): void {
    if (steps.includes(this.#step)) return;
    throw new MigrationError("ATTEMPT_ENDED", "the outgoing attempt is not at this phase", {
      ...source,
      expected: steps.join(" or "),
      found: this.#step,
    });
  }
}
