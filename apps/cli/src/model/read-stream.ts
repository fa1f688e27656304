// One pass over a stream, in bounded memory: RAM goes by, a device's section is whole when the visitor gets it.
import { isMigrationError, type MigrationError } from "@godwit/core";
import {
  type Configuration,
  type DelimitedBy,
  type Phase,
  type SectionHead,
  type StreamEvent,
  StreamReader,
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
import type { Input } from "../io/input.ts";
import type { Progress } from "../io/terminal.ts";
import type { Catalogue, Described } from "./catalogue.ts";
import { type Delimiting, type DeviceBody, SectionDecoder } from "./section-decoder.ts";
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

/** Throws the stream's fault as a `MigrationError`, with its section, path and offset; what came before was visited. */
export async function readStream(input: Input, options: ReadOptions, visitor: StreamVisitor): Promise<StreamRead> {
  const pass = new Pass(options, visitor, vmdescAtEnd(input));
  for await (const chunk of input.chunks()) {
    pass.push(chunk);
    options.progress?.update(pass.bytes);
  }
  options.progress?.end();
  return pass.end();
}

class Pass {
  bytes = 0;
  readonly #options: ReadOptions;
  readonly #visitor: StreamVisitor;
  readonly #about: Delimiting;
  readonly #reader: StreamReader;
  readonly #listed = new Map<string, VmdescDevice>();
  #configuration: Configuration | undefined;
  #vmdesc: Vmdesc | undefined;
  #list: ListFormat = {};
  #walker: ReturnType<typeof ramWalker> | undefined;
  #pageBytes = defaultPageBytes;

  constructor(options: ReadOptions, visitor: StreamVisitor, ahead: Vmdesc | "none" | undefined) {
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

  push(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    for (const event of this.#reader.push(chunk)) this.#event(event);
  }

  end(): StreamRead {
    this.#about.ended = true;
    for (const event of this.#reader.end()) this.#event(event);
    return {
      configuration: this.#configuration,
      vmdesc: this.#vmdesc,
      pageBytes: this.#pageBytes,
      bytes: this.bytes,
    };
  }

  #open(head: SectionHead, phase: Phase, previous: unknown) {
    if (head.idstr === "ram" && phase !== "full") {
      this.#walker ??= this.#ramWalker();
      return this.#walker.decoder(phase as RamPhase, previous as RamSection | undefined);
    }
    return phase === "full" ? new SectionDecoder(head, this.#about) : undefined;
  }

  #ramWalker() {
    const vmdesc = this.#knownVmdesc();
    const bits = this.#configuration?.pageBits ?? 0;
    this.#pageBytes = bits > 0 ? 2 ** bits : (vmdesc?.page_size ?? defaultPageBytes);
    return ramWalker({ ...this.#options.ram, pageBytes: this.#pageBytes, list: () => this.#list });
  }

  #knownVmdesc(): Vmdesc | undefined {
    const { own, given } = this.#about;
    return own === undefined || own === "none" ? given : own;
  }

  #event(event: StreamEvent): void {
    switch (event.type) {
      case "configuration":
        this.#configuration = event.configuration;
        this.#list = listFormat(event.configuration.capabilities);
        this.#visitor.configuration?.(event.configuration, event);
        break;
      case "command":
        // A stream that went on to post-copy ends without a description of itself.
        if (event.name.startsWith("POSTCOPY_LISTEN")) this.#about.own ??= "none";
        this.#visitor.command?.(event);
        break;
      case "section":
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
    const vmdesc = this.#knownVmdesc();
    if (this.#listed.size === 0) {
      for (const device of vmdesc?.devices ?? []) this.#listed.set(`${device.name}/${device.instance_id}`, device);
    }
    return this.#listed.get(`${idstr}/${instance}`);
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

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
