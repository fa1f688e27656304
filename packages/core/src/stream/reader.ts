// The incremental reader of a stream: bytes in, events out. It knows framing and order; what stands inside a section
// it leaves to decoders, and what nothing describes to tools, which a kernel has none of. It can be forked at any byte.

import { Cursor } from "../cursor.ts";
import { type ErrorLocation, isMigrationError, MigrationError } from "../errors.ts";
import { type BodyDecoder, recordDecoder, toState } from "../vmstate/codec.ts";
import { subsectionByte } from "../vmstate/nodes/probe.ts";
import {
  type Configuration,
  type ConfigurationState,
  configuration,
  configurationOf,
  configurationWireVersion,
} from "./configuration.ts";
import type { DelimitedBy, StreamEvent } from "./events.ts";
import { SectionOrder } from "./section-order.ts";
import {
  commands,
  type Missing,
  type Phase,
  readHead,
  type SectionHead,
  sectionKey,
  sectionType,
  streamMagic,
  streamVersion,
} from "./sections.ts";
import { boundVmdesc } from "./vmdesc-record.ts";
import type { Vmdesc } from "./vmdesc-types.ts";

/** `eof`: nothing more must come, and the stream's own description may. `whole`: nothing can. */
export type StreamEnd = "open" | "eof" | "whole";

export interface BareOptions {
  /**
   * The decoder of a section's data; undefined where nothing here describes it. May throw: the section is refused.
   * `previous` is the value of the same section's part before, so that a decoder goes on where that one ended.
   */
  readonly open: (head: SectionHead, phase: Phase, previous: unknown) => BodyDecoder | undefined;
  /** Takes a command at its place, with what was read before it, which it may take out; without it, commands are events. */
  readonly command?: (command: CommandRead, before: StreamEvent[]) => void;
  /** How the reader's own streams begin, header and configuration: not taken apart where a stream begins so, too. */
  readonly known?: { readonly bytes: Uint8Array; readonly configuration: Configuration } | undefined;
  /** False for machines too old to send footers. */
  readonly footers?: boolean;
  /** Compare values with this machine's; tools switch it off. */
  readonly checks?: boolean;
}

/** What is done about that which nothing describes, and with the stream's own description. */
export interface StreamTools {
  /**
   * What takes an undescribed body as bytes; undefined: not before more has arrived, or the stream has ended. Throws
   * `SECTION_UNDELIMITED` where nothing ever will. `availableBytes`: from the body's first byte on.
   */
  delimit(head: SectionHead, phase: Phase, availableBytes: number): Delimited | undefined;
  /** The stream has ended while a section waited; `tail` is all that has come from its body on. */
  end(tail: Uint8Array): void;
  parse(vmdesc: Uint8Array): Vmdesc;
}

export interface Delimited {
  readonly by: DelimitedBy;
  readonly decoder: BodyDecoder<Uint8Array>;
}

type CommandRead = Extract<StreamEvent, { type: "command" }>;

/** QEMU's MIG_CMD_PACKAGED: as many bytes of sections and commands follow as its payload says. */
const packagedCommand = 7;
/** A package is read as it comes and never held: the bound is one of sense. Bytes. */
const packageBoundBytes = 2 ** 30;

/** Magic and version. */
const headerBytes = 8;

/** The part of the stream that is being read. */
type State =
  | { readonly at: "header" }
  | { readonly at: "first" }
  | { readonly at: "configuration"; readonly decoder: BodyDecoder; readonly offset: number }
  | { readonly at: "between" }
  | { readonly at: "head"; readonly phase: Phase; readonly offset: number }
  | { readonly at: "body"; readonly section: OpenSection; readonly decoder: BodyDecoder }
  | { readonly at: "held"; readonly section: OpenSection }
  | { readonly at: "footer"; readonly section: OpenSection; readonly value: unknown; readonly bodyBytes: number }
  | { readonly at: "command"; readonly offset: number }
  | { readonly at: "after-eof" }
  | { readonly at: "vmdesc"; readonly offset: number }
  | { readonly at: "done" };

interface OpenSection {
  readonly phase: Phase;
  readonly head: SectionHead;
  readonly offset: number;
  readonly bodyOffset: number;
  readonly delimitedBy: DelimitedBy;
}

export class BareReader {
  readonly #options: BareOptions;
  readonly #tools: StreamTools | undefined;
  readonly #cursor: Cursor;
  readonly #order: SectionOrder;
  #state: State = { at: "header" };
  #failed: MigrationError | undefined;
  /** Where the package ends that is being read. */
  #packageEnd: number | undefined;
  /** What the call that threw had read before its error, for those who show it. */
  readBefore: readonly StreamEvent[] = [];

  /** `from`: at the same place of the same stream, independent of it. */
  constructor(options: BareOptions, tools?: StreamTools, from?: BareReader) {
    this.#options = options;
    this.#tools = tools;
    this.#cursor = from === undefined ? new Cursor() : from.#cursor.fork();
    this.#cursor.checks = options.checks ?? true;
    this.#order = new SectionOrder(from === undefined ? undefined : from.#order);
    this.#packageEnd = from === undefined ? undefined : from.#packageEnd;
    if (from !== undefined)
      this.#state = "decoder" in from.#state ? { ...from.#state, decoder: from.#state.decoder.fork() } : from.#state;
  }

  /** Bytes allocated for the stream so far. */
  get allocatedBytes(): number {
    return this.#cursor.allocatedBytes;
  }
  /** Field decodes so far: the measure of work. */
  get fields(): number {
    return this.#cursor.fields;
  }
  get offset(): number {
    return this.#cursor.offset;
  }
  /** How far the stream has come. */
  get streamEnd(): StreamEnd {
    const { at } = this.#state;
    return at === "done" ? "whole" : at === "after-eof" ? "eof" : "open";
  }
  /** What is read next stands in a package. */
  get inPackage(): boolean {
    return this.#packageEnd !== undefined;
  }

  /** Another connection goes on between two sections: what is not complete, and why it is not, is forgotten. */
  restart(): void {
    this.#cursor.pos = this.#cursor.end;
    this.#failed = undefined;
    this.#order.restart();
    this.#state = { at: "between" };
  }

  /** Takes bytes that arrived; keeps no reference to them. Errors carry section, path and offset, and end the reader. */
  push(chunk: Uint8Array): StreamEvent[] {
    if (this.#failed !== undefined) throw this.#failed;
    this.#cursor.append(chunk);
    const events = this.#run();
    this.#cursor.release();
    return events;
  }

  /** No more bytes come. Throws `STREAM_TRUNCATED` with the element that is missing. */
  end(): StreamEvent[] {
    if (this.#failed !== undefined) throw this.#failed;
    const { bytes, pos, end } = this.#cursor;
    if (this.#state.at === "held") this.#tools?.end(bytes.subarray(pos, end));
    const events = this.#run();
    if (this.#state.at === "after-eof") {
      events.push({ type: "note", code: "no-vmdesc", text: "the stream ends without a description of itself" });
      this.#state = { at: "done" };
    }
    if (this.#state.at !== "done") {
      const { path, offset, ...where } = this.#missing();
      this.readBefore = events;
      throw this.#fail(
        new MigrationError("STREAM_TRUNCATED", "the stream ends in the middle of an element", {
          side: "destination",
          ...where,
          path,
          offset,
        }),
      );
    }
    return events;
  }

  #fail(error: MigrationError): MigrationError {
    this.#failed = error;
    return error;
  }

  #run(): StreamEvent[] {
    const events: StreamEvent[] = [];
    try {
      while (this.#step(events));
      return events;
    } catch (error) {
      this.readBefore = events;
      const { path, offset, ...where } = this.#missing();
      if (!isMigrationError(error)) {
        // A decoder of somebody else's: its mistake is told with the place, and the reader is over like any other.
        const at = { side: "destination" as const, ...where, path, offset, cause: error };
        throw this.#fail(new MigrationError("DEVICE_FAILED", "the section's decoder threw", at));
      }
      throw this.#fail(
        error.at(
          error.location.path === undefined
            ? { side: "destination", ...where, path, offset }
            : { side: "destination", ...where, offset },
        ),
      );
    }
  }

  /** Does one element; false where bytes are missing. */
  #step(events: StreamEvent[]): boolean {
    const cursor = this.#cursor;
    const state = this.#state;
    switch (state.at) {
      case "header": {
        if (this.#isKnown(events)) return true;
        if (cursor.available < 4) return this.#refuseEarly();
        const magic = cursor.view.getUint32(cursor.pos);
        if (magic !== streamMagic) throw wrongMagic(magic);
        if (cursor.available < 8) return false;
        const version = cursor.view.getUint32(cursor.pos + 4);
        if (version !== streamVersion) {
          throw new MigrationError(
            "STREAM_VERSION",
            version === 2 ? "version 2 of the stream is obsolete" : "an unknown version of the stream",
            {
              path: "version",
              offset: cursor.offset + 4,
              expected: String(streamVersion),
              found: String(version),
            },
          );
        }
        cursor.pos += 8;
        events.push({ type: "header", version });
        this.#state = { at: "first" };
        return true;
      }
      case "first": {
        if (cursor.available < 1) return false;
        if (cursor.bytes[cursor.pos] !== sectionType.configuration) {
          this.#state = { at: "between" };
          return true;
        }
        const offset = cursor.offset;
        cursor.pos++;
        this.#state = { at: "configuration", decoder: recordDecoder(configuration, configurationWireVersion), offset };
        return true;
      }
      case "configuration": {
        if (!state.decoder.resume(cursor)) return false;
        const of = configurationOf(
          toState(configuration, state.decoder.value() as Record<string, unknown>) as ConfigurationState,
        );
        events.push({
          type: "configuration",
          configuration: of,
          offset: state.offset,
          bytes: cursor.offset - state.offset,
        });
        this.#state = { at: "between" };
        return true;
      }
      case "between":
        return this.#between(events);
      case "head":
        return this.#head(state);
      case "body": {
        if (!state.decoder.resume(cursor)) return false;
        const bodyBytes = cursor.offset - state.section.bodyOffset;
        this.#state = { at: "footer", section: state.section, value: state.decoder.value(), bodyBytes };
        return true;
      }
      case "held":
        return this.#held(state.section);
      case "footer":
        return this.#footer(state, events);
      case "command":
        return this.#command(state.offset, events);
      case "after-eof": {
        if (cursor.available < 1) return false;
        const type = cursor.bytes[cursor.pos];
        if (type !== sectionType.vmdescription) throw trailing(cursor);
        this.#state = { at: "vmdesc", offset: cursor.offset };
        cursor.pos++;
        return true;
      }
      case "vmdesc": {
        if (cursor.available < 4) return false;
        const length = cursor.view.getUint32(cursor.pos);
        boundVmdesc(length);
        if (cursor.available < 4 + length) return false;
        const from = cursor.pos + 4;
        const vmdesc = this.#tools?.parse(cursor.bytes.subarray(from, from + length));
        cursor.pos = from + length;
        if (vmdesc !== undefined) events.push({ type: "vmdesc", vmdesc, offset: state.offset, bytes: 5 + length });
        this.#state = { at: "done" };
        return true;
      }
      case "done":
        if (cursor.available > 0) throw trailing(cursor);
        return false;
    }
  }

  #isKnown(events: StreamEvent[]): boolean {
    const { known } = this.#options;
    const { bytes, pos, end } = this.#cursor;
    if (known === undefined || end - pos <= known.bytes.length) return false;
    for (let i = 0; i < known.bytes.length; i++) if (bytes[pos + i] !== known.bytes[i]) return false;
    // One more subsection of the configuration may follow.
    if (bytes[pos + known.bytes.length] === subsectionByte) return false;
    this.#cursor.pos += known.bytes.length;
    events.push({ type: "header", version: streamVersion });
    const { configuration } = known;
    events.push({ type: "configuration", configuration, offset: headerBytes, bytes: known.bytes.length - headerBytes });
    this.#state = { at: "between" };
    return true;
  }

  // A wrong first byte is told at once, not when four have come.
  #refuseEarly(): boolean {
    const { bytes, pos, end } = this.#cursor;
    for (let i = 0; i < end - pos; i++) {
      if (bytes[pos + i] !== ((streamMagic >>> (24 - 8 * i)) & 0xff)) throw wrongMagic(undefined);
    }
    return false;
  }

  #between(events: StreamEvent[]): boolean {
    const cursor = this.#cursor;
    const { offset } = cursor;
    if (this.#packageEnd !== undefined && offset >= this.#packageEnd) this.#closePackage(this.#packageEnd);
    if (cursor.available < 1) return false;
    const type = cursor.bytes[cursor.pos];
    switch (type) {
      case sectionType.eof:
        if (this.#packageEnd !== undefined) this.#closePackage(this.#packageEnd);
        cursor.pos++;
        events.push({ type: "eof", offset });
        this.#state = { at: "after-eof" };
        return true;
      case sectionType.start:
      case sectionType.part:
      case sectionType.end:
      case sectionType.full: {
        const phase = (["start", "part", "end", "full"] as const)[type - 1] as Phase;
        cursor.pos++;
        this.#state = { at: "head", phase, offset };
        return true;
      }
      case sectionType.command:
        cursor.pos++;
        this.#state = { at: "command", offset };
        return true;
      case sectionType.configuration:
        throw new MigrationError("SECTION_ORDER", "the configuration section stands only at the beginning", {
          path: "type",
          offset,
        });
      default:
        throw new MigrationError("SECTION_TYPE", "an unknown section type", {
          path: "type",
          offset,
          expected: "0x00 to 0x04 or 0x08",
          found: `0x${type?.toString(16).padStart(2, "0")}`,
        });
    }
  }

  #head({ phase, offset }: { phase: Phase; offset: number }): boolean {
    const cursor = this.#cursor;
    let head: SectionHead;
    if (phase === "start" || phase === "full") {
      const read = readHead(cursor);
      if ("path" in read) return false;
      head = read;
      this.#order.register(head, phase, offset);
    } else {
      if (cursor.available < 4) return false;
      const id = cursor.view.getUint32(cursor.pos);
      head = this.#order.continued(id, offset);
      cursor.pos += 4;
    }
    const section = { phase, head, offset, bodyOffset: cursor.offset, delimitedBy: "description" as const };
    // The place is known before the decoder is asked for: its refusal names the section.
    this.#state = { at: "held", section };
    const decoder = this.#openBody(section);
    if (decoder !== undefined) this.#state = { at: "body", section, decoder };
    return true;
  }

  /** What is refused here is refused for its name or its version, and that is where the error points. */
  #openBody({ head, phase, offset, bodyOffset }: OpenSection): BodyDecoder | undefined {
    try {
      return this.#options.open(head, phase, this.#order.previous(head.sectionId));
    } catch (error) {
      if (!isMigrationError(error) || error.location.path !== undefined) throw error;
      const named = phase === "start" || phase === "full";
      if (!named) throw error.at({ path: "section_id", offset: offset + 1 });
      throw error.at(
        error.code === "SECTION_VERSION"
          ? { path: "version_id", offset: bodyOffset - 4 }
          : { path: "idstr", offset: offset + 5 },
      );
    }
  }

  #held(section: OpenSection): boolean {
    const { head, phase } = section;
    if (this.#tools === undefined) throw undelimited(head, "nothing here describes it");
    const delimited = this.#tools.delimit(head, phase, this.#cursor.available);
    if (delimited === undefined) return false;
    this.#state = { at: "body", section: { ...section, delimitedBy: delimited.by }, decoder: delimited.decoder };
    return true;
  }

  #footer(state: { section: OpenSection; value: unknown; bodyBytes: number }, events: StreamEvent[]): boolean {
    const cursor = this.#cursor;
    const { section, value, bodyBytes } = state;
    const { head } = section;
    if (this.#options.footers ?? true) {
      if (cursor.available < 1) return false;
      const type = cursor.bytes[cursor.pos];
      if (type !== sectionType.footer) {
        const detail =
          "the section's body does not end where its description says: the two sides may describe this version differently";
        throw new MigrationError("FOOTER_MISSING", detail, {
          path: "footer",
          expected: "0x7e",
          found: `0x${type?.toString(16).padStart(2, "0")}`,
        });
      }
      if (cursor.available < 5) return false;
      const id = cursor.view.getUint32(cursor.pos + 1);
      if (id !== head.sectionId) {
        throw new MigrationError("FOOTER_MISMATCH", "the footer is another section's", {
          path: "footer",
          expected: String(head.sectionId),
          found: String(id),
        });
      }
      cursor.pos += 5;
    }
    const { phase, offset, delimitedBy } = section;
    this.#order.completed(head.sectionId, phase, value);
    events.push({ type: "section", phase, head, value, delimitedBy, offset, bodyBytes, bytes: cursor.offset - offset });
    this.#state = { at: "between" };
    return true;
  }

  #command(offset: number, events: StreamEvent[]): boolean {
    const cursor = this.#cursor;
    if (cursor.available < 4) return false;
    const command = cursor.view.getUint16(cursor.pos);
    const length = cursor.view.getUint16(cursor.pos + 2);
    const known = commands[command];
    if (known === undefined) {
      throw new MigrationError("COMMAND_UNKNOWN", "an unknown command", {
        path: "command",
        offset: offset + 1,
        found: `0x${command.toString(16)}`,
      });
    }
    if (known.length >= 0 && known.length !== length) {
      throw new MigrationError("COMMAND_LENGTH", `the command ${known.name} has another length`, {
        path: "command.length",
        offset: offset + 3,
        expected: String(known.length),
        found: String(length),
      });
    }
    if (cursor.available < 4 + length) return false;
    cursor.pos += 4;
    const event = { type: "command" as const, command, name: known.name, payload: cursor.take(length), offset };
    if (command === packagedCommand) this.#openPackage(cursor.view.getUint32(cursor.pos - length), offset);
    if (this.#options.command === undefined) events.push(event);
    else this.#options.command(event, events);
    this.#state = { at: "between" };
    return true;
  }

  #openPackage(bytes: number, offset: number): void {
    if (this.#packageEnd !== undefined) {
      throw new MigrationError("SECTION_ORDER", "a package stands in another", { path: "command", offset });
    }
    if (bytes > packageBoundBytes) {
      const [expected, found] = [`at most ${packageBoundBytes} bytes`, `${bytes} bytes`];
      throw new MigrationError("LENGTH_BOUND", "the package is too long", { path: "length", expected, found });
    }
    this.#packageEnd = this.#cursor.offset + bytes;
  }

  /** A package ends where a section or command of it does, and nowhere else. */
  #closePackage(end: number): void {
    const { offset } = this.#cursor;
    if (offset !== end) {
      throw new MigrationError("LENGTH_BOUND", "the package's length is not that of its sections and commands", {
        path: "package",
        offset,
        expected: `its end at ${end}`,
        found: `a section's end at ${offset}`,
      });
    }
    this.#packageEnd = undefined;
  }

  /** The element that is being read, for errors. */
  #missing(): ErrorLocation & Missing {
    const { offset } = this.#cursor;
    const state = this.#state;
    switch (state.at) {
      case "header":
        return {
          section: "header",
          ...(this.#cursor.available < 4 ? { path: "magic", offset } : { path: "version", offset: offset + 4 }),
        };
      case "first":
      case "between":
        return { section: "stream", path: "type", offset };
      case "configuration":
        return { section: "configuration", path: state.decoder.path() ?? "len", offset };
      case "head":
        return { section: "stream", ...this.#missingHead(state.phase) };
      case "body":
      case "held":
      case "footer": {
        const { head } = state.section;
        const path = state.at === "body" ? state.decoder.path() : state.at === "footer" ? "footer" : "body";
        const taken = state.at === "body" ? (state.decoder.takenBytes?.() ?? 0) : 0;
        return { section: sectionKey(head), version: head.version, path: path ?? "body", offset: offset - taken };
      }
      case "command":
        return {
          section: "command",
          path:
            this.#cursor.available < 2 ? "command" : this.#cursor.available < 4 ? "command.length" : "command.payload",
          offset,
        };
      case "vmdesc":
        return { section: "vmdesc", path: this.#cursor.available < 4 ? "length" : "text", offset };
      case "after-eof":
      case "done":
        return { section: "stream", path: "end", offset };
    }
  }

  #missingHead(phase: Phase): Missing {
    if (phase === "start" || phase === "full") {
      const read = readHead(this.#cursor.fork());
      if ("path" in read) return read;
    }
    return { path: "section_id", offset: this.#cursor.offset };
  }
}

function wrongMagic(magic: number | undefined): MigrationError {
  return new MigrationError("MAGIC_WRONG", "this is not a QEMU migration stream", {
    path: "magic",
    offset: 0,
    expected: "0x5145564d (QEVM)",
    ...(magic === undefined ? {} : { found: `0x${magic.toString(16).padStart(8, "0")}` }),
  });
}

function trailing(cursor: Cursor): MigrationError {
  return new MigrationError("STREAM_TRAILING", "bytes follow the end of the stream", {
    path: "end",
    offset: cursor.offset,
  });
}

export function undelimited(head: SectionHead, why: string): MigrationError {
  return new MigrationError("SECTION_UNDELIMITED", `"${head.idstr}" cannot be delimited: ${why}`, { path: "body" });
}
