// Takes the body of a device's section as bytes. Where it ends is told, in this order, by the stream's own vmdesc (whose
// length the description must then fill), by a description of ours, by a vmdesc that was given, by a scan for its footer.
import { type BodyDecoder, type Cursor, MigrationError, recordDecoder } from "@godwit/core";
import {
  type DelimitedBy,
  findVmdesc,
  type SectionHead,
  sectionBytes,
  sectionType,
  type Vmdesc,
} from "@godwit/core/stream";
import { ofPlugin } from "./brought-throws.ts";
import type { Catalogue, Described } from "./catalogue.ts";

/** What is known of the whole stream, and changes while it is read. */
export interface Delimiting {
  readonly catalogue: Catalogue;
  /** "none": it is known that the stream has no vmdesc. Undefined: it may still come, behind the end. */
  own: Vmdesc | "none" | undefined;
  readonly given: Vmdesc | undefined;
  readonly footerScan: boolean;
  readonly holdBytes: number;
  /** No more bytes come. */
  ended: boolean;
  /** The last bytes are not those of a whole stream, as far as it is known. */
  isCut?: boolean;
}

export interface DeviceBody {
  readonly body: Uint8Array;
  readonly delimitedBy: DelimitedBy;
}

const footerBytes = 5;

/** Whether the last bytes are neither a vmdesc's end nor the EOF behind a footer. */
export function endsCut(tail: Uint8Array): boolean {
  const last = tail.at(-1);
  return last !== 0x7d && !(last === sectionType.eof && tail.at(-1 - footerBytes) === sectionType.footer);
}

export class SectionDecoder implements BodyDecoder<DeviceBody> {
  readonly #head: SectionHead;
  readonly #about: Delimiting;
  #nextTryBytes = 0;
  #scannedBytes = 0;
  #value: DeviceBody | undefined;

  constructor(head: SectionHead, about: Delimiting) {
    this.#head = head;
    this.#about = about;
  }

  resume(cursor: Cursor): boolean {
    const about = this.#about;
    if (about.ended && about.own === undefined) {
      about.isCut = endsCut(cursor.bytes.subarray(cursor.pos, cursor.end));
      about.own = findVmdesc(cursor.bytes.subarray(cursor.pos, cursor.end))?.vmdesc ?? "none";
    }
    if (about.own === undefined) return this.#hold(cursor);
    const own = this.#lengthBy(about.own === "none" ? undefined : about.own);
    if (own !== undefined) return this.#take(cursor, own, "vmdesc");
    if (about.catalogue.knows(this.#head.idstr) !== undefined) return this.#byDescription(cursor);
    const given = this.#lengthBy(about.given);
    if (given !== undefined) return this.#take(cursor, given, "given-vmdesc");
    if (about.footerScan) return this.#byFooter(cursor);
    if (about.isCut === true) {
      throw new MigrationError(
        "STREAM_TRUNCATED",
        `the stream does not end as a stream does, and so nothing tells where "${this.#head.idstr}" ends`,
        { path: "body" },
      );
    }
    throw undelimited(
      this.#head,
      about.own === "none" ? "the stream has no vmdesc" : "the vmdesc does not tell its length",
    );
  }

  #lengthBy(vmdesc: Vmdesc | undefined): number | undefined {
    const { idstr, instance } = this.#head;
    const device = vmdesc?.devices.find((one) => one.name === idstr && one.instance_id === instance);
    return device && sectionBytes(device);
  }

  #take(cursor: Cursor, bytes: number, delimitedBy: DelimitedBy): boolean {
    if (bytes > this.#about.holdBytes) throw this.#tooMuch(bytes);
    if (cursor.available < bytes) return false;
    this.#value = { body: cursor.take(bytes), delimitedBy };
    return true;
  }

  /** Whatever may follow is needed to find the parameters: it is tried when half as much again has come, and at the end. */
  #byDescription(cursor: Cursor): boolean {
    const { ended, catalogue } = this.#about;
    const { available } = cursor;
    if (!ended && available < this.#nextTryBytes) return this.#hold(cursor);
    this.#nextTryBytes = Math.max(64, available * 1.5);
    try {
      const described = catalogue.describe({
        ...this.#head,
        bytes: cursor.bytes.subarray(cursor.pos, cursor.end),
      }) as Described;
      const decoder = recordDecoder(described.description, this.#head.version);
      const trial = cursor.fork();
      const complete = ofPlugin(described.plugin, () => decoder.resume(trial));
      if (complete) return this.#take(cursor, trial.offset - cursor.offset, "description");
      if (ended)
        throw new MigrationError("STREAM_TRUNCATED", "the stream ends in the middle of an element", {
          path: decoder.path(),
        });
    } catch (error) {
      if (ended) throw error;
    }
    return this.#hold(cursor);
  }

  #byFooter(cursor: Cursor): boolean {
    const { bytes, pos, end, view } = cursor;
    for (; pos + this.#scannedBytes + footerBytes < end; this.#scannedBytes++) {
      const at = pos + this.#scannedBytes;
      if (bytes[at] !== sectionType.footer || view.getUint32(at + 1) !== this.#head.sectionId) continue;
      if ((bytes[at + footerBytes] as number) > sectionType.command) continue;
      return this.#take(cursor, this.#scannedBytes, "footer-scan");
    }
    return this.#hold(cursor);
  }

  #hold({ available }: Cursor): boolean {
    if (available > this.#about.holdBytes) throw this.#tooMuch(available);
    return false;
  }

  #tooMuch(bytes: number): MigrationError {
    return new MigrationError("HOLD_BOUND", "more would have to be held in memory than --hold allows", {
      path: "body",
      expected: `at most ${this.#about.holdBytes} bytes`,
      found: `${bytes} bytes`,
    });
  }

  value(): DeviceBody {
    return this.#value as DeviceBody;
  }

  path(): string {
    return "body";
  }

  fork(): SectionDecoder {
    return new SectionDecoder(this.#head, this.#about);
  }
}

function undelimited({ idstr }: SectionHead, why: string): MigrationError {
  return new MigrationError("SECTION_UNDELIMITED", `nothing tells where "${idstr}" ends: no description, and ${why}`, {
    path: "body",
  });
}
