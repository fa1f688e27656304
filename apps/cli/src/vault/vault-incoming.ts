// A machine of any kind on its way into a vault: RAM is made from the list that comes, everything else is held as it is
// described, or as bytes. Nothing of the vault changes before `commit`.
import {
  type BodyDecoder,
  type Cursor,
  type IncomingAttempt,
  type IncomingInit,
  isMigrationError,
  type LoadReport,
  MigrationError,
  type SectionSummary,
  type StagedIterable,
  type StreamCommand,
} from "@godwit/core";
import {
  type Configuration,
  findVmdesc,
  type Phase,
  type ReaderOptions,
  type SectionHead,
  type StreamEvent,
  StreamReader,
  sectionBytes,
  sectionKey,
  type Vmdesc,
  vmdescText,
} from "@godwit/core/stream";
import type { ListedBlock, RamOffer, RamSection } from "@godwit/ram-dirty-tracker";
import type { Catalogue } from "../model/catalogue.ts";
import { type Delimiting, type DeviceBody, SectionDecoder } from "../model/section-decoder.ts";
import { type CarriedPart, type HeldSection, held, type VaultContent } from "./content.ts";
import { leadingCommandBytes, trailingCommandBytes } from "./run.ts";
import { ListedStartDecoder, type ReceiveModes, VaultRam } from "./vault-ram.ts";

export interface VaultIncomingInit extends IncomingInit {
  readonly catalogue: Catalogue;
  readonly vmdesc: Vmdesc | undefined;
  readonly ramBytes: number;
  readonly holdBytes: number;
  readonly receive: ReceiveModes;
  /** RAM's list has come: what takes its pages is there. */
  listed(offer: RamOffer): void;
  /** The machine is the vault's. */
  adopt(content: VaultContent): void;
  /** Some of its pages will never come: it is nobody's. */
  lost(): void;
  /** The attempt is over. */
  over(): void;
}

/**
 * How far the stream has come. `eof`: nothing more must come, and its own description may. `whole`: nothing can.
 */
export type StreamEnd = "open" | "eof" | "whole";

interface ArrivingRam {
  readonly head: SectionHead;
  readonly memory: VaultRam;
  readonly staged: StagedIterable;
  readonly offer: RamOffer;
}

type Step = "receiving" | "received" | "prepared" | "committed" | "ended";

const command = { advise: 3, listen: 4, packaged: 7 } as const;
/** A PACKAGED command, up to its length. */
const packagedHead = Uint8Array.of(8, 0, command.packaged, 0, 4);
const packagedBytes = packagedHead.length + 4;
const defaultPageBytes = 4096;
const closingBrace = 0x7d;
const destination = { side: "destination" } as const;
/** The least that a command, or a section's head and footer, takes of the vault's own memory. Bytes. */
const leastBytes = 64;

export class VaultIncoming implements IncomingAttempt {
  readonly #init: VaultIncomingInit;
  readonly #options: ReaderOptions;
  readonly #about: Delimiting;
  readonly #reader: StreamReader;
  #step: Step = "receiving";
  #isFed = true;
  #configuration: Configuration | undefined;
  #ram: ArrivingRam | undefined;
  #ramEnded = false;
  readonly #setup: (HeldSection | CarriedPart | "ram")[] = [];
  readonly #parts: CarriedPart[] = [];
  readonly #ends: (CarriedPart | "ram")[] = [];
  readonly #devices: HeldSection[] = [];
  #vmdesc: Vmdesc | undefined;
  #vmdescText: Uint8Array | undefined;
  /** Of sections that are held. */
  #heldBytes = 0;
  /** The section whose body is being read. */
  #openSection: string | undefined;
  /** A PART or END has come: what is FULL from here on is no early_setup. */
  #isSetUp = false;
  /** What came from the first device on: it ends with the stream's own vmdesc. */
  #tail: Tail | undefined;
  /** Sections wait for that vmdesc. */
  #waits = false;
  #end: StreamEnd = "open";
  #isAdvised = false;
  #isPostcopy = false;
  /** What the reader has been given, and what of it waits there. */
  #fedBytes = 0;
  #unread: Uint8Array = new Uint8Array(0);
  /** Bytes that may be the beginning of a PACKAGED command. */
  #undecided: Uint8Array = new Uint8Array(0);
  #package: Uint8Array | undefined;
  #packageFilled = 0;
  /** Bytes of packages that the reader was not given. */
  #passedBytes = 0;
  readonly #summaries: SectionSummary[] = [];

  constructor(init: VaultIncomingInit) {
    this.#init = init;
    const { catalogue, vmdesc: given } = init;
    // With one that is given no device waits for the stream's own, which may not come.
    const own = given === undefined ? undefined : "none";
    // What waits is counted here, as the stream's tail.
    const holdBytes = Number.MAX_SAFE_INTEGER;
    this.#about = { catalogue, own, given, footerScan: false, holdBytes, ended: false };
    this.#options = {
      holdBytes,
      checks: false,
      open: (head, phase, previous) => this.#open(head, phase, previous),
      command: (event, before) => {
        this.#take(before.splice(0));
        this.#command(event);
      },
    };
    this.#reader = new StreamReader(this.#options);
  }

  get streamEnd(): StreamEnd {
    return this.#end;
  }

  /** In post-copy the package is here: the machine can be taken over while its pages come. */
  get isPackaged(): boolean {
    return this.#isPostcopy && this.#devices.length > 0;
  }

  get allocatedBytes(): number {
    return this.#reader.allocatedBytes + this.#heldBytes;
  }

  push(chunk: Uint8Array): void {
    this.#expectFed();
    this.#guarded(() => {
      if (this.#waits && chunk.length > 0 && this.#end === "whole") {
        this.#end = "open";
        this.#about.own = undefined;
      }
      this.#split(chunk);
      if (this.#waits) this.#lookForEnd();
    });
  }

  end(): void {
    this.#expectFed();
    this.#guarded(() => {
      this.#about.ended = true;
      this.#take(this.#reader.end());
      if (this.#ram === undefined) throw missing("ram/0", "the stream has no RAM");
      if (!this.#ramEnded) throw missing("ram/0", "RAM has not ended");
      this.#ram.staged.finish?.();
      this.#keepVmdesc();
    });
    this.#isFed = false;
    if (this.#step === "receiving") this.#step = "received";
    else if (this.#step === "committed") this.#init.over();
  }

  restart(): void {
    this.#expectFed();
    if (!this.#isPostcopy) this.#expect("received");
    this.#undecided = new Uint8Array(0);
    this.#reader.restart();
  }

  async prepare(): Promise<void> {
    if (!(this.#isPostcopy && this.#step === "receiving")) this.#expect("received");
    else if (!this.isPackaged) throw missing("package", "the package has not come");
    this.#step = "prepared";
  }

  async commit(): Promise<LoadReport> {
    this.#expect("prepared");
    const ram = this.#ram;
    const configuration = this.#configuration;
    if (ram === undefined || configuration === undefined) throw missing("ram/0", "the stream has no RAM");
    this.#guarded(() => ram.staged.commit());
    ram.staged.settled?.();
    this.#step = "committed";
    this.#init.adopt({
      configuration,
      pageBytes: ram.memory.pageBytes,
      ram: { head: ram.head, memory: ram.memory },
      setup: this.#setup,
      parts: this.#parts,
      ends: this.#ends.includes("ram") ? this.#ends : [...this.#ends, "ram"],
      devices: this.#devices,
      vmdesc: this.#vmdescText,
    });
    if (!this.#isFed) this.#init.over();
    return {
      machineType: configuration.machineType,
      sections: this.#summaries,
      loadOrder: this.#devices.flatMap((one) => (one.how === "undelimited" ? [] : [sectionKey(one.head)])),
      notes: [...this.#notes()],
      bytes: this.#reader.offset + this.#passedBytes,
    };
  }

  discard(): void {
    if (this.#step === "ended" || (this.#step === "committed" && !this.#isFed)) return;
    if (this.#step === "committed") this.#init.lost();
    this.#step = "ended";
    this.#ram?.staged.discard();
    this.#init.over();
  }

  fork(): IncomingAttempt {
    throw new MigrationError(
      "ATTEMPT_ENDED",
      "what goes into a vault has no forks: its memory is there once",
      destination,
    );
  }

  *#notes(): Iterable<{ code: string; section?: string; text: string }> {
    for (const one of [...this.#setup, ...this.#devices]) {
      if (one === "ram" || one.how === "part" || one.how === "described") continue;
      if (one.how === "carried") yield { code: "carried", section: sectionKey(one.head), text: one.why };
      else yield { code: "undelimited", text: one.why };
    }
  }

  /** Sections that something delimits go to the reader; a package that nothing may delimit is taken out before it. */
  #split(chunk: Uint8Array): void {
    let rest = chunk;
    // Other connections have come to where the main one stands: it goes on with what it has.
    if (chunk.length === 0) this.#feed(chunk);
    while (rest.length > 0 || this.#undecided.length > 0) {
      if (this.#package !== undefined) rest = this.#fillPackage(this.#package, rest);
      else if (!this.#isAdvised || this.#isPostcopy) {
        // ADVISE stands in the first bytes of a stream, before RAM: none of them may be passed over.
        const taken = this.#ram === undefined ? Math.min(rest.length, packagedBytes) : rest.length;
        this.#feed(rest.subarray(0, taken));
        rest = rest.subarray(taken);
      } else {
        const bytes = joined(this.#undecided, rest);
        this.#undecided = new Uint8Array(0);
        const next = this.#feedToPackage(bytes);
        if (next === undefined) return;
        rest = next;
      }
    }
  }

  /** Feeds what stands before the next PACKAGED command. What follows the command's head; undefined: it has not come. */
  #feedToPackage(bytes: Uint8Array): Uint8Array | undefined {
    let fed = 0;
    for (let from = 0; ; from++) {
      const at = indexOfHead(bytes, from);
      const isCut = bytes.length - at < packagedBytes;
      this.#feed(bytes.subarray(fed, at));
      fed = at;
      if (at === bytes.length) return undefined;
      // In a page, or whatever else is open, the same bytes mean nothing.
      if (this.#openSection !== undefined) {
        from = at;
        continue;
      }
      if (isCut) {
        this.#undecided = bytes.slice(at);
        return undefined;
      }
      const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + packagedHead.length);
      this.#beginPackage(size, at);
      return bytes.subarray(at + packagedBytes);
    }
  }

  #beginPackage(size: number, at: number): void {
    if (this.#isPostcopy) {
      throw new MigrationError("SECTION_ORDER", "a second package", {
        path: "command",
        offset: this.#reader.offset + at,
      });
    }
    this.#bound(size, "package");
    this.#package = new Uint8Array(size);
    this.#packageFilled = 0;
    this.#passedBytes += packagedBytes;
    if (size === 0) this.#package = undefined;
  }

  #fillPackage(into: Uint8Array, from: Uint8Array): Uint8Array {
    const taken = Math.min(from.length, into.length - this.#packageFilled);
    into.set(from.subarray(0, taken), this.#packageFilled);
    this.#packageFilled += taken;
    if (this.#packageFilled === into.length) {
      this.#package = undefined;
      this.#takePackage(into);
    }
    return from.subarray(taken);
  }

  /** LISTEN, devices, RUN. Where nothing delimits the devices, they are one run from the first such on. */
  #takePackage(content: Uint8Array): void {
    const first = leadingCommandBytes(content);
    this.#feed(content.subarray(0, first));
    const last = content.length - trailingCommandBytes(content);
    const sections = content.subarray(first, Math.max(first, last));
    const delimited = this.#delimitedBytes(sections);
    this.#feed(sections.subarray(0, delimited));
    if (delimited < sections.length) this.#takeRun(sections.subarray(delimited));
    this.#feed(content.subarray(Math.max(first, last)));
    if (this.#isPostcopy) return;
    throw new MigrationError("SECTION_ORDER", "a package without POSTCOPY_LISTEN", { section: "package" });
  }

  /** How far the sections can be told apart. */
  #delimitedBytes(sections: Uint8Array): number {
    const from = this.#reader.offset;
    const probe = this.#probe();
    let events: readonly StreamEvent[];
    try {
      events = probe.push(sections);
    } catch (error) {
      if (!isMigrationError(error) || error.code !== "SECTION_UNDELIMITED") throw error;
      events = probe.readBefore;
    }
    this.#openSection = undefined;
    const last = events.at(-1);
    return last?.type === "section" ? last.offset + last.bytes - from : 0;
  }

  /** A reader at the same place that changes nothing here. */
  #probe(): StreamReader {
    return this.#reader.fork({ ...this.#options, command: () => {} });
  }

  #takeRun(bytes: Uint8Array): void {
    const footerAt = bytes.length - 5;
    if (bytes[0] !== 4 || bytes[footerAt] !== 0x7e) {
      throw new MigrationError("SECTION_UNDELIMITED", "a package without a vmdesc does not end like a section", {
        section: "package",
        path: "footer",
        expected: "0x7e",
        found: `0x${(bytes[footerAt] ?? 0).toString(16)}`,
      });
    }
    this.#hold(bytes.length);
    this.#passedBytes += bytes.length;
    const why = "post-copy's package describes nothing, and no vmdesc was given";
    this.#devices.push({ how: "undelimited", bytes: bytes.slice(), why });
  }

  #feed(bytes: Uint8Array): void {
    const tail = this.#tail;
    const events = this.#reader.push(bytes);
    this.#fedBytes += bytes.length;
    if (tail !== undefined) tail.add(bytes);
    else {
      const unread = joined(this.#unread, bytes);
      // The bytes that the first device stands in are part of the tail, too; they may have waited for other connections.
      this.#tail?.add(unread);
      this.#unread = unread.slice(unread.length - (this.#fedBytes - this.#reader.offset));
    }
    this.#take(events);
  }

  #take(events: readonly StreamEvent[]): void {
    // It tells more of the sections that waited for it.
    for (const event of events) if (event.type === "vmdesc") this.#vmdesc = event.vmdesc;
    for (const event of events) {
      switch (event.type) {
        case "configuration":
          this.#configuration = this.#checked(event.configuration);
          break;
        case "section":
          this.#openSection = undefined;
          this.#section(event);
          break;
        case "eof":
          this.#end = this.#isPostcopy ? "whole" : "eof";
          break;
        case "vmdesc":
          this.#end = "whole";
          break;
      }
    }
  }

  /** What makes the list of RAM another one has no meaning for memory that is held here alone. */
  #checked(configuration: Configuration): Configuration {
    const [capability] = configuration.capabilities;
    if (capability === undefined) return configuration;
    throw new MigrationError("CAPABILITY_MISMATCH", "a vault takes a stream that has all of the machine in it", {
      section: "configuration",
      path: "capabilities",
      expected: "none",
      found: capability,
    });
  }

  #command(event: StreamCommand & { readonly name: string; readonly offset: number }): void {
    this.#hold(leastBytes);
    if (event.command === command.advise) this.#isAdvised = true;
    if (event.command === command.listen) {
      this.#isPostcopy = true;
      // A stream that goes on to post-copy ends without a description of itself.
      this.#about.own = "none";
    }
    this.#init.onCommand?.(event);
  }

  #open(head: SectionHead, phase: Phase, previous: unknown): BodyDecoder | undefined {
    this.#openSection = sectionKey(head);
    if (phase !== "full" && head.idstr === "ram") return this.#openRam(head, phase, previous as RamSection | undefined);
    if (phase !== "full") return undefined;
    // Before RAM nothing may wait for what comes behind it.
    const bytes = this.#isSetUp || this.#isPostcopy ? undefined : this.#listedBytes(head);
    if (bytes !== undefined) return new WholeBody(bytes);
    if (!this.#isPostcopy) this.#tail ??= new Tail(this.#init.holdBytes);
    this.#waits = this.#about.own === undefined;
    return new SectionDecoder(head, this.#about);
  }

  #listedBytes({ idstr, instance }: SectionHead): number | undefined {
    const device = this.#init.vmdesc?.devices.find((one) => one.name === idstr && one.instance_id === instance);
    const bytes = device && sectionBytes(device);
    if (bytes !== undefined) this.#bound(bytes, `${idstr}/${instance}`);
    return bytes;
  }

  #openRam(head: SectionHead, phase: "start" | "part" | "end", previous: RamSection | undefined): BodyDecoder {
    if (phase !== "start")
      return (this.#ram as ArrivingRam).staged.decoder(phase, head.version, previous) as BodyDecoder;
    // Each would bring as much as `ramBytes`, and take the place of the one before.
    if (this.#ram !== undefined) {
      const found = sectionKey(head);
      throw new MigrationError("SECTION_DUPLICATE", "a machine has one RAM", { section: found, expected: "ram/0" });
    }
    const bits = this.#configuration?.pageBits ?? 0;
    const pageBytes = bits > 0 ? 2 ** bits : (this.#init.vmdesc?.page_size ?? defaultPageBytes);
    return new ListedStartDecoder({
      pageBytes,
      ramBytes: this.#init.ramBytes,
      begin: (blocks: readonly ListedBlock[]) => {
        const memory = new VaultRam(blocks, pageBytes);
        const { handler, offer } = memory.receiver(this.#init.receive);
        const staged = handler.stage();
        this.#ram = { head, memory, staged, offer };
        this.#init.listed(offer);
        return staged.decoder("start", head.version, undefined) as BodyDecoder<RamSection>;
      },
    });
  }

  #section({ phase, head, value, offset, bytes }: Extract<StreamEvent, { type: "section" }>): void {
    const { idstr, instance, version } = head;
    this.#summaries.push({ idstr, instance, version, phase, offset: offset + this.#passedBytes, bytes });
    if (phase === "full") {
      const body = value instanceof Uint8Array ? value : (value as DeviceBody).body;
      this.#hold(body.length + leastBytes);
      this.#device(head, body);
      return;
    }
    if (phase !== "start") this.#isSetUp = true;
    if (idstr === "ram") {
      if (phase === "start") this.#setup.push("ram");
      if (phase !== "end") return;
      this.#ramEnded = true;
      this.#ends.push("ram");
      return;
    }
    const part: CarriedPart = { how: "part", phase, head, body: value as Uint8Array };
    this.#hold(part.body.length + leastBytes);
    if (phase === "start") this.#setup.push(part);
    else if (phase === "part") this.#parts.push(part);
    else this.#ends.push(part);
  }

  /** On a pipe a device's vmdesc comes when the device has: until then its bytes wait. */
  #device(head: SectionHead, body: Uint8Array): void {
    const listed = (this.#vmdesc ?? this.#init.vmdesc)?.devices.find(
      (one) => one.name === head.idstr && one.instance_id === head.instance,
    );
    const section = held(head, body, listed, this.#init.catalogue);
    if (!this.#isSetUp && !this.#isPostcopy) this.#setup.push(section);
    else this.#devices.push(section);
  }

  /** A source waits for our word behind its last byte: the end must be seen without one more. */
  #lookForEnd(): void {
    const bytes = this.#tail?.bytes ?? new Uint8Array(0);
    if (bytes.at(-1) !== closingBrace) return;
    const open = this.#openSection;
    try {
      const own = findVmdesc(bytes)?.vmdesc;
      if (own === undefined) return;
      this.#about.own = own;
      // That a guest has what looks like an end in its memory is possible; that all sections before it fit is not.
      this.#probe().end();
      this.#end = "whole";
    } catch (error) {
      if (!isMigrationError(error)) throw error;
    } finally {
      this.#openSection = open;
      if (this.#end !== "whole") this.#about.own = undefined;
    }
  }

  /** Its own text, byte for byte, where it came; else what was given. */
  #keepVmdesc(): void {
    const tail = this.#tail?.bytes;
    const found = tail === undefined ? undefined : findVmdesc(tail);
    if (tail !== undefined && found !== undefined) this.#vmdescText = tail.slice(found.at + 5);
    else if (this.#init.vmdesc !== undefined) this.#vmdescText = Buffer.from(vmdescText(this.#init.vmdesc));
    this.#tail = undefined;
  }

  /** Each thing that is held counts. */
  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#bound(this.#heldBytes, "stream");
  }

  #bound(bytes: number, section: string): void {
    if (bytes <= this.#init.holdBytes) return;
    throw new MigrationError("LENGTH_BOUND", "the machine has more beside its RAM than this vault takes", {
      ...destination,
      section,
      expected: `at most ${this.#init.holdBytes} bytes`,
      found: `${bytes} bytes`,
    });
  }

  /** A bad stream ends the attempt; in post-copy, where the machine is here already, another connection may go on. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (this.#step !== "committed") this.discard();
      throw isMigrationError(error) ? error.at(destination) : error;
    }
  }

  #expectFed(): void {
    if (this.#isFed && this.#step !== "ended") return;
    throw new MigrationError("ATTEMPT_ENDED", "the incoming attempt takes no more bytes", destination);
  }

  #expect(step: Step): void {
    if (this.#step === step) return;
    throw new MigrationError("ATTEMPT_ENDED", "the incoming attempt is not at this phase", {
      ...destination,
      expected: step,
      found: this.#step,
    });
  }
}

/** A body whose length is known from elsewhere. */
class WholeBody implements BodyDecoder<Uint8Array> {
  readonly #bytes: number;
  #value = new Uint8Array(0);

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  resume(cursor: Cursor): boolean {
    if (cursor.available < this.#bytes) return false;
    this.#value = cursor.take(this.#bytes) as Uint8Array<ArrayBuffer>;
    return true;
  }

  value(): Uint8Array {
    return this.#value;
  }

  path(): string {
    return "body";
  }

  fork(): WholeBody {
    return new WholeBody(this.#bytes);
  }
}

/** The end of a stream as it came. Grows at most to the double of what has come. */
class Tail {
  readonly #mostBytes: number;
  #buffer = new Uint8Array(64 * 1024);
  #length = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  add(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#mostBytes) {
      throw new MigrationError(
        "LENGTH_BOUND",
        "too much stands between a section and the vmdesc that would delimit it",
        {
          ...destination,
          section: "stream",
          expected: `at most ${this.#mostBytes} bytes; a vmdesc that is given delimits sections as they come`,
          found: `${length} bytes`,
        },
      );
    }
    if (length > this.#buffer.length) {
      const grown = new Uint8Array(2 * length);
      grown.set(this.bytes);
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length = length;
  }
}

/** Where a PACKAGED command begins, or may begin; the length where it does not. */
function indexOfHead(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(packagedHead[0] as number, from); at >= 0; at = bytes.indexOf(8, at + 1)) {
    let matched = 1;
    while (
      matched < packagedHead.length &&
      at + matched < bytes.length &&
      bytes[at + matched] === packagedHead[matched]
    )
      matched++;
    if (matched === packagedHead.length || at + matched === bytes.length) return at;
  }
  return bytes.length;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function missing(section: string, detail: string): MigrationError {
  return new MigrationError("STREAM_TRUNCATED", detail, { ...destination, section });
}
