// Where a section ends that nothing here describes: the delimiters in their order, from the surest to the last resort.
import type { Cursor } from "../cursor.ts";
import { MigrationError } from "../errors.ts";
import type { BodyDecoder } from "../vmstate/codec.ts";
import type { DelimitedBy } from "./events.ts";
import { type Phase, type SectionHead, sectionType } from "./sections.ts";
import { sectionBytes } from "./vmdesc.ts";
import type { Vmdesc } from "./vmdesc-types.ts";
import { walkerOf } from "./walkers.ts";

export interface Delimiters {
  /** The stream's own vmdesc, where it is known already. */
  readonly vmdesc: Vmdesc | undefined;
  readonly givenVmdesc: Vmdesc | undefined;
  readonly footerScan: boolean;
  /** The longest body that is taken as bytes. */
  readonly boundBytes: number;
}

export interface Delimited {
  readonly by: DelimitedBy;
  readonly decoder: BodyDecoder<Uint8Array>;
}

/** What takes the section's body as bytes; undefined where nothing tells its end. */
export function delimit(head: SectionHead, phase: Phase, delimiters: Delimiters): Delimited | undefined {
  const walker = walkerOf(head, phase);
  if (walker !== undefined) return { by: "walker", decoder: walker };
  for (const by of ["vmdesc", "given-vmdesc"] as const) {
    const bytes =
      phase === "full" ? bytesIn(by === "vmdesc" ? delimiters.vmdesc : delimiters.givenVmdesc, head) : undefined;
    if (bytes === undefined) continue;
    if (bytes > delimiters.boundBytes) throw tooLong(delimiters.boundBytes, bytes);
    return { by, decoder: new RawDecoder(bytes) };
  }
  if (!delimiters.footerScan) return undefined;
  return { by: "footer-scan", decoder: new FooterScan(head.sectionId, 0, delimiters.boundBytes) };
}

function tooLong(bound: number, bytes: number): MigrationError {
  return new MigrationError("LENGTH_BOUND", "an undescribed section is too long", {
    path: "body",
    expected: `at most ${bound} bytes`,
    found: `${bytes} bytes`,
  });
}

function bytesIn(vmdesc: Vmdesc | undefined, { idstr, instance }: SectionHead): number | undefined {
  const device = vmdesc?.devices.find((one) => one.name === idstr && one.instance_id === instance);
  return device && sectionBytes(device);
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
