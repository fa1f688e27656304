// Where a section ends that nothing here describes: the delimiters in their order, from the surest to the last resort.
import type { Cursor } from "../cursor.ts";
import { MigrationError } from "../errors.ts";
import type { BodyDecoder } from "../vmstate/codec.ts";
import type { DelimitedBy } from "./events.ts";
import { type Delimited, type StreamTools, undelimited } from "./reader.ts";
import { type Phase, type SectionHead, sectionType } from "./sections.ts";
import { findVmdesc, parseVmdesc, sectionBytes } from "./vmdesc.ts";
import type { Vmdesc } from "./vmdesc-types.ts";
import { walkerOf } from "./walkers.ts";

export interface Delimiters {
  /** The stream's own vmdesc, read first where the stream can be sought; "none" where it is known to have none. */
  readonly vmdesc?: Vmdesc | "none" | undefined;
  /** A vmdesc of the same QEMU and machine, from another stream. */
  readonly givenVmdesc?: Vmdesc | undefined;
  /** Last resort, only when asked for: takes the next fitting footer for the section's end. */
  readonly footerScan?: boolean;
  /** How much may be held back, on a pipe, until the vmdesc at the end tells where sections end. Bytes. */
  readonly holdBytes?: number;
}

const defaultHoldBytes = 64 * 1024 * 1024;

export class Delimiting implements StreamTools {
  readonly #given: Delimiters;
  readonly #holdBytes: number;
  #vmdesc: Vmdesc | "none" | undefined;
  #ended: boolean;

  constructor(given: Delimiters, from?: Delimiting) {
    this.#given = given;
    this.#holdBytes = given.holdBytes ?? defaultHoldBytes;
    this.#vmdesc = from === undefined ? given.vmdesc : from.#vmdesc;
    this.#ended = from === undefined ? false : from.#ended;
  }

  delimit(head: SectionHead, phase: Phase, availableBytes: number): Delimited | undefined {
    const walker = walkerOf(head, phase);
    if (walker !== undefined) return { by: "walker", decoder: walker };
    const { givenVmdesc, footerScan = false } = this.#given;
    const own = this.#vmdesc === "none" ? undefined : this.#vmdesc;
    if (phase === "full") {
      const raw = this.#raw("vmdesc", own, head);
      if (raw !== undefined) return raw;
      // On a pipe the stream's own description comes last. What is worse than it may serve only when it has not come.
      if (this.#vmdesc === undefined && !this.#ended && availableBytes <= this.#holdBytes) return undefined;
      const given = this.#raw("given-vmdesc", givenVmdesc, head);
      if (given !== undefined) return given;
    }
    if (footerScan) return { by: "footer-scan", decoder: new FooterScan(head.sectionId, 0, this.#holdBytes) };
    if (phase !== "full") throw undelimited(head, "no decoder of its iterable data");
    if (own !== undefined) {
      throw undelimited(head, "no description, no walker, and the vmdesc does not tell its length");
    }
    if (availableBytes <= this.#holdBytes) throw undelimited(head, "no description, no walker and no vmdesc");
    throw new MigrationError(
      "SECTION_UNDELIMITED",
      "too much follows a section that only the stream's own description could delimit",
      { path: "body", expected: `at most ${this.#holdBytes} bytes to the end` },
    );
  }

  #raw(by: DelimitedBy, vmdesc: Vmdesc | undefined, { idstr, instance }: SectionHead): Delimited | undefined {
    const device = vmdesc?.devices.find((one) => one.name === idstr && one.instance_id === instance);
    const bytes = device && sectionBytes(device);
    if (bytes === undefined) return undefined;
    if (bytes > this.#holdBytes) throw tooLong(this.#holdBytes, bytes);
    return { by, decoder: new RawDecoder(bytes) };
  }

  end(tail: Uint8Array): void {
    this.#ended = true;
    this.#vmdesc = findVmdesc(tail)?.vmdesc ?? "none";
  }

  parse(vmdesc: Uint8Array): Vmdesc {
    return parseVmdesc(vmdesc);
  }
}

function tooLong(bound: number, bytes: number): MigrationError {
  return new MigrationError("LENGTH_BOUND", "an undescribed section is too long", {
    path: "body",
    expected: `at most ${bound} bytes`,
    found: `${bytes} bytes`,
  });
}

/** A section's body as bytes, its length known from outside. */
class RawDecoder implements BodyDecoder<Uint8Array> {
  readonly #bytes: number;
  #value: Uint8Array | undefined;
  constructor(bytes: number) {
    this.#bytes = bytes;
  }
  resume(cursor: Cursor): boolean {
    if (cursor.available < this.#bytes) return false;
    this.#value = cursor.take(this.#bytes);
    return true;
  }
  value(): Uint8Array {
    return this.#value as Uint8Array;
  }
  path(): string {
    return "body";
  }
  fork(): RawDecoder {
    return new RawDecoder(this.#bytes);
  }
}

/** The last resort: the body ends where the section's own footer, and behind it a section type, come next. */
class FooterScan implements BodyDecoder<Uint8Array> {
  readonly #sectionId: number;
  readonly #boundBytes: number;
  #scanned: number;
  #value: Uint8Array | undefined;
  constructor(sectionId: number, scanned: number, boundBytes: number) {
    this.#sectionId = sectionId;
    this.#scanned = scanned;
    this.#boundBytes = boundBytes;
  }
  resume(cursor: Cursor): boolean {
    for (; cursor.pos + this.#scanned + 5 < cursor.end; this.#scanned++) {
      const at = cursor.pos + this.#scanned;
      if (cursor.bytes[at] !== sectionType.footer || cursor.view.getUint32(at + 1) !== this.#sectionId) continue;
      if ((cursor.bytes[at + 5] as number) > sectionType.command) continue;
      this.#value = cursor.take(this.#scanned);
      return true;
    }
    if (this.#scanned > this.#boundBytes) throw tooLong(this.#boundBytes, this.#scanned);
    return false;
  }
  value(): Uint8Array {
    return this.#value as Uint8Array;
  }
  path(): string {
    return "body";
  }
  fork(): FooterScan {
    return new FooterScan(this.#sectionId, this.#scanned, this.#boundBytes);
  }
}
