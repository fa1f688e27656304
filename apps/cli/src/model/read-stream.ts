// One pass over a stream, in bounded memory: RAM goes by, a device's section is whole when the visitor gets it.
import { type BodyDecoder, isMigrationError, MigrationError } from "@godwit/core";
import {
  type Configuration,
  type DelimitedBy,
  type Phase,
  type SectionHead,
  type StreamEvent,
  StreamReader,
  sectionBytes,
  sectionKey,
  type Vmdesc,
  type VmdescDevice,
} from "@godwit/core/stream";
import {
  type ListFormat,
  listFormat,
  type RamPhase,
  type RamSection,
  type RamWalkerInit,
  ramWalker,
} from "@godwit/ram-dirty-tracker";
import { type Input, refuseKind } from "../io/input.ts";
import type { Progress } from "../io/terminal.ts";
import type { Catalogue, Described } from "./catalogue.ts";
import { type Gate, OrderedDecoder } from "./ordered-decoder.ts";
import { type Delimiting, type DeviceBody, endsCut, SectionDecoder } from "./section-decoder.ts";
import { vmdescAtEnd } from "./vmdesc-at-end.ts";

export interface ReadOptions {
  readonly catalogue: Catalogue;
  /** Of the same QEMU and machine, for what nothing else delimits. */
  readonly givenVmdesc?: Vmdesc | undefined;
  readonly footerScan?: boolean;
  /** How much of undescribed sections may be held. Bytes. */
  readonly holdBytes: number;
  /** What becomes of RAM: blocks, records, pages. Page size and list format are found here. */
  readonly ram?: Omit<RamWalkerInit, "pageBytes" | "list">;
  readonly progress?: Progress;
  /** False: nobody asks what describes a section, and what does is not imported without need. */
  readonly describes?: boolean;
}

export interface Section {
  readonly phase: Phase;
  readonly head: SectionHead;
  /** `idstr/instance`. */
  readonly key: string;
  /** Offset of the section's type byte, and of its body. */
  readonly offset: number;
  readonly bodyOffset: number;
  readonly bodyBytes: number;
  /** From the type byte to the end of the footer. */
  readonly bytes: number;
  readonly delimitedBy: DelimitedBy;
  /** Undefined for RAM, which went by; its records by kind are in `ram`. */
  readonly body: Uint8Array | undefined;
  readonly ram: RamSection | undefined;
  /** What the stream's vmdesc, or the given one, says of it. */
  readonly listed: VmdescDevice | undefined;
  /** The description that fits; an error where one is meant for it and its bytes do not fit; undefined where there is none. */
  readonly described: Described | MigrationError | undefined;
}

export type Command = Extract<StreamEvent, { type: "command" }>;

/** Called in the order of the wire. What is handed over is the visitor's to keep. */
export interface StreamVisitor {
  /**
   * A section's head has been read; its body begins at `bodyOffset`. Called while a chunk is being read, as the functions of
   * `ReadOptions.ram` are, and so before what stands earlier in the same chunk is handed over.
   */
  opening?(head: SectionHead, phase: Phase, bodyOffset: number): void;
  /** Before anything else, where the stream can be sought. */
  vmdescAhead?(vmdesc: Vmdesc): void;
  configuration?(configuration: Configuration, place: { readonly offset: number; readonly bytes: number }): void;
  section?(section: Section): void;
  command?(command: Command): void;
  eof?(offset: number): void;
  vmdesc?(vmdesc: Vmdesc, place: { readonly offset: number; readonly bytes: number }): void;
}

export interface StreamRead {
  /** Undefined for a machine too old to send one. */
  readonly configuration: Configuration | undefined;
  readonly vmdesc: Vmdesc | undefined;
  /** Bytes of a target page. */
  readonly pageBytes: number;
  /** Of the whole stream. */
  readonly bytes: number;
}

const defaultPageBytes = 4096;
/** A migration that sends its RAM so often over does not end; small machines may do it more often. */
const endlessRounds = 1000;
const endlessRecords = 1 << 20;
/** More commands and sections than any stream has, but for those that discard a page each on the way to post-copy. */
const endlessElements = 1 << 16;
const nothing = new Uint8Array(0);

/** Throws the stream's fault as a `MigrationError`, with its section, path and offset; what came before was visited. */
export async function readStream(input: Input, options: ReadOptions, visitor: StreamVisitor): Promise<StreamRead> {
  refuseKind(input);
  const ahead = vmdescAtEnd(input);
  if ((options.describes ?? true) || !delimitsAll(ahead)) await options.catalogue.load?.();
  const pass = new Pass(options, visitor, ahead, input.wrapper?.headerBytes ?? 0);
  if (ahead === "none") pass.isCut = endsCut(input.tail(8) as Uint8Array);
  for await (const chunk of input.chunks()) {
    pass.push(chunk);
    options.progress?.update(pass.bytes);
  }
  options.progress?.end();
  return pass.end();
}

function delimitsAll(vmdesc: Vmdesc | "none" | undefined): boolean {
  return typeof vmdesc === "object" && vmdesc.devices.every((device) => sectionBytes(device) !== undefined);
}

class Pass {
  bytes = 0;
  readonly #options: ReadOptions;
  readonly #visitor: StreamVisitor;
  readonly #about: Delimiting;
  readonly #reader: StreamReader;
  /** The devices of `of`, by their sections' keys. */
  #listed: { readonly of: Vmdesc | undefined; readonly devices: ReadonlyMap<string, VmdescDevice> } | undefined;
  #configuration: Configuration | undefined;
  #vmdesc: Vmdesc | undefined;
  #list: ListFormat = {};
  readonly #gate: Gate = { isWaiting: false, isOpen: false };
  /** The source may go on to post-copy. */
  #isAdvised = false;
  #walker: ReturnType<typeof ramWalker> | undefined;
  #pageBytes = defaultPageBytes;
  readonly #fileOffset: number;
  /** The section that is being read and held, which is none of RAM, and where its body began. */
  #held: { readonly section: string; readonly from: number } | undefined;
  /** RAM: the section that is being read, the one before it, and the records of all before. */
  #ram: BodyDecoder<RamSection> | undefined;
  #ramBefore: Pick<RamSection, "records" | "blocks"> = { records: {}, blocks: new Map() };
  #records = 0;
  /** Commands, and sections but for those of RAM. */
  #elements = 0;

  constructor(options: ReadOptions, visitor: StreamVisitor, ahead: Vmdesc | "none" | undefined, fileOffset: number) {
    this.#fileOffset = fileOffset;
    this.#options = options;
    this.#visitor = visitor;
    const { catalogue, givenVmdesc, footerScan = false, holdBytes } = options;
    this.#about = { catalogue, own: ahead, given: givenVmdesc, footerScan, holdBytes, ended: false };
    if (ahead !== undefined && ahead !== "none") visitor.vmdescAhead?.(ahead);
    this.#reader = new StreamReader({
      vmdesc: ahead,
      givenVmdesc,
      footerScan,
      holdBytes,
      checks: false,
      open: (head, phase, previous) => this.#open(head, phase, previous),
    });
  }

  set isCut(isCut: boolean) {
    this.#about.isCut = isCut;
  }

  push(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.#tell(() => this.#reader.push(chunk));
    this.#checkEnd();
    this.#checkHeld(chunk.length);
  }

  /** What is told, and what waited for that. */
  #tell(read: () => readonly StreamEvent[]): void {
    for (const event of this.#read(read)) this.#event(event);
    while (this.#gate.isWaiting) {
      this.#gate.isWaiting = false;
      for (const event of this.#read(() => this.#reader.push(nothing))) this.#event(event);
    }
  }

  /** What stood before a fault in the same chunk is told, too. */
  #read(read: () => readonly StreamEvent[]): readonly StreamEvent[] {
    try {
      return read();
    } catch (error) {
      for (const event of this.#reader.readBefore) this.#event(event);
      throw error;
    }
  }

  end(): StreamRead {
    this.#about.ended = true;
    this.#gate.isOpen = true;
    this.#tell(() => this.#reader.end());
    return {
      configuration: this.#configuration,
      vmdesc: this.#vmdesc,
      pageBytes: this.#pageBytes,
      bytes: this.bytes,
    };
  }

  #open(head: SectionHead, phase: Phase, previous: unknown) {
    this.#visitor.opening?.(head, phase, this.#reader.offset);
    if (phase !== "full" && head.idstr !== "ram") this.#held = { section: sectionKey(head), from: this.#reader.offset };
    if (head.idstr === "ram" && phase !== "full") {
      const make = (): BodyDecoder<RamSection> => {
        this.#walker ??= this.#ramWalker();
        this.#ram = this.#walker.decoder(phase as RamPhase, previous as RamSection | undefined);
        return this.#ram;
      };
      // Waiting costs a copy of the chunk. Only the configuration before the first section tells how RAM is read, and with
      // post-copy commands between sections tell what it means.
      return this.#walker === undefined || this.#isAdvised ? new OrderedDecoder(this.#gate, make) : make();
    }
    return phase === "full" ? new SectionDecoder(head, this.#about) : undefined;
  }

  #ramWalker() {
    const vmdesc = this.#knownVmdesc();
    const bits = this.#configuration?.pageBits ?? 0;
    this.#pageBytes = bits > 0 ? 2 ** bits : (vmdesc?.page_size ?? defaultPageBytes);
    checkPageBytes(this.#pageBytes);
    return ramWalker({ ...this.#options.ram, pageBytes: this.#pageBytes, list: () => this.#list });
  }

  /** A pipe may repeat itself for ever; what it repeats is looked at after each chunk. */
  #checkEnd(): void {
    const { records, blocks } = this.#ram?.value() ?? this.#ramBefore;
    const seen = this.#records + recordsOf(records);
    if (seen <= endlessRecords && this.#elements <= endlessElements) return;
    let ramBytes = 0;
    for (const { length } of blocks.values()) ramBytes += length;
    const mostElements = endlessElements + ramBytes / this.#pageBytes;
    if (this.#elements > mostElements) {
      throw new MigrationError("STREAM_ENDLESS", "the stream has more commands and sections than a machine needs", {
        section: "stream",
        path: "type",
        offset: this.bytes,
        expected: `at most ${mostElements}`,
        found: String(this.#elements),
      });
    }
    if (seen <= endlessRecords) return;
    if (seen <= endlessRounds * (ramBytes / this.#pageBytes)) return;
    throw new MigrationError("STREAM_ENDLESS", `the stream sends its RAM more than ${endlessRounds} times over`, {
      section: "ram/0",
      path: "records",
      offset: this.bytes,
      expected: `at most ${endlessRounds} records a page`,
      found: `${seen} records of ${ramBytes / this.#pageBytes} pages`,
    });
  }

  /** An iterable that core walks is kept until its section ends. */
  #checkHeld(chunkBytes: number): void {
    const { holdBytes } = this.#options;
    if (this.#held === undefined || this.bytes - this.#held.from <= holdBytes + chunkBytes) return;
    throw new MigrationError("HOLD_BOUND", "an iterable section is longer than --hold allows", {
      section: this.#held.section,
      path: "body",
      offset: this.#held.from,
      expected: `at most ${holdBytes} bytes`,
    });
  }

  #knownVmdesc(): Vmdesc | undefined {
    const { own, given } = this.#about;
    return own === undefined || own === "none" ? given : own;
  }

  #event(event: StreamEvent): void {
    switch (event.type) {
      case "configuration":
        this.#configuration = event.configuration;
        this.#list = { ...listFormat(event.configuration.capabilities), fileOffset: this.#fileOffset };
        this.#visitor.configuration?.(event.configuration, event);
        break;
      case "command":
        // A stream that went on to post-copy ends without a description of itself.
        if (event.name === "POSTCOPY_ADVISE") this.#isAdvised = true;
        if (event.name.startsWith("POSTCOPY_LISTEN")) this.#about.own ??= "none";
        this.#elements++;
        this.#visitor.command?.(event);
        break;
      case "section":
        // Another one may have begun in the same chunk.
        if (this.#held !== undefined && this.#held.from <= event.offset + event.bytes) this.#held = undefined;
        if (event.head.idstr === "ram" && event.phase !== "full") this.#ramRead(event.value as RamSection);
        else this.#elements++;
        this.#visitor.section?.(this.#section(event));
        break;
      case "eof":
        this.#visitor.eof?.(event.offset);
        break;
      case "vmdesc":
        this.#vmdesc = event.vmdesc;
        this.#visitor.vmdesc?.(event.vmdesc, event);
        break;
    }
  }

  #ramRead(section: RamSection): void {
    this.#records += recordsOf(section.records);
    this.#ramBefore = { records: {}, blocks: section.blocks };
    // One chunk may hold many sections, of which the last is being read.
    if (this.#ram?.value().records === section.records) this.#ram = undefined;
  }

  #section({ phase, head, value, delimitedBy, offset, bodyBytes, bytes }: StreamEvent & { type: "section" }): Section {
    const isRam = head.idstr === "ram" && phase !== "full";
    const device = phase === "full" ? (value as DeviceBody) : undefined;
    const footer = 5;
    const listed = this.#listedDevice(head);
    const body = device?.body ?? (isRam ? undefined : (value as Uint8Array));
    // Finding a description's parameters costs more than all of RAM's records: only who asks pays.
    const described = once(() => device && this.#describe(head, device.body, listed));
    return {
      phase,
      head,
      key: sectionKey(head),
      offset,
      bodyOffset: offset + bytes - footer - bodyBytes,
      bodyBytes,
      bytes,
      delimitedBy: device?.delimitedBy ?? delimitedBy,
      body,
      ram: isRam ? (value as RamSection) : undefined,
      listed,
      get described() {
        return described();
      },
    };
  }

  #listedDevice({ idstr, instance }: SectionHead): VmdescDevice | undefined {
    const of = this.#knownVmdesc();
    // A pipe's own vmdesc comes last, and goes before one that was given.
    if (this.#listed === undefined || this.#listed.of !== of) {
      const devices = new Map(of?.devices.map((device) => [`${device.name}/${device.instance_id}`, device]));
      this.#listed = { of, devices };
    }
    return this.#listed.devices.get(`${idstr}/${instance}`);
  }

  #describe(
    head: SectionHead,
    bytes: Uint8Array,
    vmdesc: VmdescDevice | undefined,
  ): Described | MigrationError | undefined {
    try {
      return this.#about.catalogue.describe({ ...head, bytes, vmdesc });
    } catch (error) {
      if (isMigrationError(error)) return error;
      throw error;
    }
  }
}

function recordsOf(counts: RamSection["records"]): number {
  let sum = 0;
  for (const count of Object.values(counts)) sum += count;
  return sum;
}

/** What a stream says of its pages is a claim. */
function checkPageBytes(bytes: number): void {
  if (bytes >= 1024 && bytes <= 65536 && Math.log2(bytes) % 1 === 0) return;
  throw new MigrationError("CONFIGURATION_MISMATCH", "the stream's target pages have a size that no target has", {
    path: "total",
    expected: "1024 to 65536 bytes, a power of two",
    found: `${bytes} bytes`,
  });
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
