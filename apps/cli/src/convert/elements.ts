// A stream without its RAM, element by element: small things in memory, sections' bodies in a file.
import { closeSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { MigrationError, Writer } from "@godwit/core";
import {
  type Configuration,
  StreamWriter,
  sectionType,
  writeContinuation,
  writeFooter,
  writeHead,
} from "@godwit/core/stream";
import type { Command, Section, StreamVisitor } from "../model/read-stream.ts";
import { onFile, readOrZeros, writeWhole } from "../ram/run-writer.ts";

/** An element as bytes; or a section of RAM, which the output has in its own way. */
export type Element = FramedElement | RamElement;

interface FramedElement {
  readonly kind: "framed";
  readonly isFull: boolean;
  /** Of the whole element, and where it is in the file. Bytes. */
  readonly bytes: number;
  readonly at: number;
}

export interface RamElement {
  readonly kind: "ram";
  readonly phase: "start" | "part" | "end";
  /** Type byte, section id and, for START, name and versions. */
  readonly head: Uint8Array;
  readonly footer: Uint8Array;
}

/** Commands that only a live source gives, to a destination that answers: a file has none of it. Wire reference 9.1. */
const ofTwoSides: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 7, 9, 10]);
const listen = 4;
/** A section of RAM, with its longest name. Bytes. */
const headRoomBytes = 300;

export class Elements implements StreamVisitor {
  readonly #descriptor: number;
  readonly #elements: Element[] = [];
  readonly #dropped: string[] = [];
  /** FULL sections that a post-copy source sent before RAM was whole. */
  readonly #early: FramedElement[] = [];
  #at = 0;
  #isPostcopy = false;
  #hasPart = false;
  #hasEnd = false;
  #bytes = 0;
  configurationRead: Configuration | undefined;

  /** `folder`: where bodies are put. */
  constructor(folder: string) {
    const path = join(folder, "elements");
    this.#descriptor = onFile(() => openSync(path, "wx+"));
    unlinkSync(path);
  }

  /** Names of commands that the output does not have. */
  get dropped(): readonly string[] {
    return this.#dropped;
  }

  /** Of all elements so far, those of RAM not counted. */
  get bytes(): number {
    return this.#bytes;
  }

  configuration(configuration: Configuration): void {
    this.configurationRead = configuration;
  }

  command({ command, name, payload }: Command): void {
    this.#isPostcopy ||= command === listen;
    if (ofTwoSides.has(command)) {
      this.#dropped.push(name);
      return;
    }
    const writer = new StreamWriter({ roomBytes: 16 + payload.length });
    writer.command(command, payload);
    this.#elements.push(this.#framed([writer.out.flush()], false));
  }

  section(section: Section): void {
    const { phase, head, body, key, offset, bodyOffset } = section;
    const out = new Writer(headRoomBytes);
    if (phase === "start" || phase === "full") writeHead(out, phase, head);
    else writeContinuation(out, phase, head.sectionId);
    if (out.pos !== bodyOffset - offset) {
      throw new MigrationError("STRING_UTF8", "the section's name is no UTF-8, and cannot be written again", {
        section: key,
        path: "idstr",
        offset: offset + 5,
      });
    }
    const headBytes = out.flush();
    const foot = new Writer(8);
    writeFooter(foot, head.sectionId);
    const footer = foot.flush();
    if (body === undefined) {
      this.#ram({ kind: "ram", phase: phase as RamElement["phase"], head: headBytes, footer });
      return;
    }
    const framed = this.#framed([headBytes, body, footer], phase === "full");
    if (this.#isPostcopy && framed.isFull) this.#early.push(framed);
    else this.#elements.push(framed);
  }

  /** Pages go out once, in the first section that can have them. */
  #ram(element: RamElement): void {
    if (element.phase === "part" && this.#hasPart) return;
    this.#hasPart ||= element.phase === "part";
    this.#hasEnd ||= element.phase === "end";
    this.#elements.push(element);
  }

  #framed(pieces: readonly Uint8Array[], isFull: boolean): FramedElement {
    const at = this.#at;
    for (const piece of pieces) {
      writeWhole(this.#descriptor, this.#at, piece);
      this.#at += piece.length;
    }
    const bytes = this.#at - at;
    this.#bytes += bytes;
    return { kind: "framed", isFull, bytes, at };
  }

  /** In the order of the output: devices stand behind RAM, whenever they came. `RAM_ORDER` for RAM without its end. */
  *inOrder(): Iterable<Element> {
    if (!this.#hasEnd) {
      throw new MigrationError("RAM_ORDER", "the stream's RAM has no end", {
        section: "ram/0",
        expected: "an END section",
      });
    }
    yield* this.#elements;
    yield* this.#early;
  }

  /** Whether pages go out in a PART; else they go in the END. */
  get hasPart(): boolean {
    return this.#hasPart;
  }

  read({ at, bytes }: FramedElement, from: number, into: Uint8Array): Uint8Array {
    const piece = into.subarray(0, Math.min(into.length, bytes - from));
    readOrZeros(this.#descriptor, at + from, piece);
    return piece;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Magic, version and configuration; of the latter nothing, where there is none. */
export function beginning(configuration: Configuration | undefined): Uint8Array {
  const writer = new StreamWriter();
  writer.header();
  if (configuration !== undefined) writer.configuration(configuration);
  return writer.out.flush();
}

export const endOfStream: Uint8Array = Uint8Array.of(sectionType.eof);
