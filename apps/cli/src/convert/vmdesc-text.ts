// The stream's own description, as its own bytes: what stands in it twice would not survive a parser.
import { closeSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { Writer } from "@godwit/core";
import {
  type Configuration,
  findVmdesc,
  type Phase,
  type SectionHead,
  StreamWriter,
  sectionType,
  type Vmdesc,
} from "@godwit/core/stream";
import { editVmdescText } from "../edit/vmdesc-text.ts";
import type { Input } from "../io/input.ts";
import { onFile, readOrZeros, writeWhole } from "../ram/run-writer.ts";

interface Place {
  readonly offset: number;
  readonly bytes: number;
}

/** Type byte and length. */
const recordHeadBytes = 5;

/** Keeps what comes behind the first device, where the input cannot be sought. */
export class VmdescText {
  readonly #input: Input;
  readonly #folder: string;
  #descriptor: number | undefined;
  #keptFrom = 0;
  #kept = 0;
  #devices = false;
  #place: Place | undefined;

  /** `folder`: where it is put. */
  constructor(input: Input, folder: string) {
    this.#input = input;
    this.#folder = folder;
  }

  /** To be read instead of the input. */
  input(): Input {
    if (this.#input.readAt(0, new Uint8Array(1)) !== undefined) return this.#input;
    return { ...this.#input, chunks: () => this.#keeping(this.#input.chunks()) };
  }

  async *#keeping(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let offset = 0;
    for await (const chunk of chunks) {
      yield chunk;
      if (this.#devices) this.#keep(chunk, offset);
      offset += chunk.length;
    }
  }

  #keep(chunk: Uint8Array, offset: number): void {
    if (this.#descriptor === undefined) {
      const path = join(this.#folder, "devices");
      this.#descriptor = onFile(() => openSync(path, "wx+"));
      unlinkSync(path);
      this.#keptFrom = offset;
    }
    writeWhole(this.#descriptor, this.#kept, chunk);
    this.#kept += chunk.length;
  }

  /** For the visitor. */
  opening(_: SectionHead, phase: Phase): void {
    this.#devices ||= phase === "full";
  }

  /** For the visitor. */
  vmdesc(_: Vmdesc, place: Place): void {
    this.#place = place;
  }

  /** The whole record, with the configuration listed as it is now; undefined where the stream has none. */
  record(configuration: Configuration | undefined, parsed: Vmdesc | undefined): Uint8Array | undefined {
    if (this.#place === undefined || parsed === undefined) return undefined;
    const text = new Uint8Array(this.#place.bytes - recordHeadBytes);
    const at = this.#place.offset + recordHeadBytes;
    if (this.#descriptor !== undefined) readOrZeros(this.#descriptor, at - this.#keptFrom, text);
    else this.#input.readAt(at, text);
    const listed =
      parsed.configuration === undefined || configuration === undefined ? undefined : listingOf(configuration);
    const edited = new TextEncoder().encode(
      editVmdescText(new TextDecoder().decode(text), { devices: new Map(), configuration: listed }),
    );
    const out = new Writer(edited.length + recordHeadBytes);
    out.u8(sectionType.vmdescription);
    out.u32(edited.length);
    out.raw(edited);
    return out.flush();
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
  }
}

/** As QEMU lists it from 8.2 on; an earlier one lists none. */
function listingOf(configuration: Configuration): Vmdesc["configuration"] {
  const writer = new StreamWriter({ dialect: "10.0" });
  writer.configuration(configuration);
  writer.finish();
  return findVmdesc(writer.out.flush())?.vmdesc.configuration;
}
