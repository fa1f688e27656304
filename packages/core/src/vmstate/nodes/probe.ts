// Where a subsection may begin: finds out whether the next bytes are one (wire reference 2.6).
import type { Cursor } from "../../cursor.ts";
import { MigrationError } from "../../errors.ts";
import type { VmdescField } from "../../stream/vmdesc-types.ts";
import { utf8Decode, utf8Encode } from "../../utf8.ts";
import type { Writer } from "../../writer.ts";
import type { Subsection } from "../types.ts";
import type { Body } from "./body.ts";
import type { Frame, Node } from "./node.ts";

export const subsectionByte = 0x05;

/** A subsection of a body. */
export interface Part {
  readonly key: string;
  /** The wire's name. */
  readonly name: string;
  readonly subsection: Subsection;
  readonly body: Body;
}

/** A subsection's header as it stands on the wire. */
export interface Header {
  readonly part: Part;
  readonly version: number;
}

export function writeHeader(out: Writer, name: string, version: number): void {
  out.u8(subsectionByte);
  out.str8(name);
  out.u32(version);
}

/**
 * A 0x05 may as well be data of what encloses the body, so nothing is consumed before the body's own name has been
 * seen, and no byte is waited for that cannot change the answer.
 */
export class Probe {
  readonly #name: Uint8Array;
  readonly #parts: readonly Part[];
  constructor(name: string, parts: readonly Part[]) {
    this.#name = utf8Encode(name);
    this.#parts = parts;
  }

  /** Bytes from here on that must be there to go on deciding; 0: no subsection of this body begins here. */
  need(cursor: Cursor): number {
    const { bytes, pos, end } = cursor;
    if (pos >= end) return 1;
    if (bytes[pos] !== subsectionByte) return 0;
    if (pos + 1 >= end) return 2;
    const name = this.#name;
    const length = bytes[pos + 1] as number;
    if (length < name.length + 1) return 0;
    const seen = Math.min(name.length, end - pos - 2);
    for (let i = 0; i < seen; i++) if (bytes[pos + 2 + i] !== name[i]) return 0;
    return seen < name.length ? 2 + seen + 1 : 2 + length + 4;
  }

  /**
   * The header, consumed, or undefined where what follows is not ours. `need` bytes are there, or never will be: then
   * it is not ours either. A name that is ours and not known is `SUBSECTION_UNKNOWN`.
   */
  take(cursor: Cursor): Header | undefined {
    const need = this.need(cursor);
    if (need === 0 || cursor.end - cursor.pos < need) return undefined;
    const name = utf8Decode(cursor.bytes, cursor.pos + 2, cursor.pos + need - 4);
    const part = this.#parts.find((p) => p.name === name);
    if (part === undefined) {
      throw new MigrationError("SUBSECTION_UNKNOWN", `subsection "${name}" is not known here`, { found: name });
    }
    cursor.pos += need - 4;
    return { part, version: cursor.u32() };
  }
}

/** The probe as a leaf of the stepped walk. */
export class ProbeNode implements Node {
  readonly min = 0;
  readonly plain = true;
  readonly steady = true;
  readonly scoped = false;
  readonly composite = false;
  readonly info = "subsection";
  readonly compressible = false;
  readonly #probe: Probe;
  constructor(probe: Probe) {
    this.#probe = probe;
  }
  need(cursor: Cursor): number {
    return wanted(this.#probe, cursor);
  }
  open(): Frame {
    throw new Error("a leaf has no frame");
  }
  read(cursor: Cursor): Header | undefined {
    return this.#probe.take(cursor);
  }
  write(): void {}
  toState(value: unknown): unknown {
    return value;
  }
  isState(): boolean {
    return true;
  }
  list(): VmdescField[] {
    return [];
  }
}

/** Bytes to wait for; where no more will come, a mere beginning can only be an enclosing body's data. */
export function wanted(probe: Probe, cursor: Cursor): number {
  const need = probe.need(cursor);
  return cursor.final && need > cursor.end - cursor.pos ? 0 : need;
}
