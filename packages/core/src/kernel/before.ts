// The way back: what devices held before a state was taken over. As bytes in one buffer, so that a restore that succeeds
// has made nothing for a field; as a copy only where a state cannot be written as it is.
import type { Entry } from "../registry/registry.ts";
import { decodeState, writeState } from "../vmstate/codec.ts";
import { copyState } from "../vmstate/copy.ts";
import type { AnyRecord, Description } from "../vmstate/types.ts";
import type { Writer } from "../writer.ts";
import { atOnce } from "./synchronous.ts";

interface Kept {
  readonly from: number;
  readonly to: number;
  readonly copy: AnyRecord | undefined;
}

export class Before {
  readonly #out: Writer;
  readonly #kept = new Map<Entry, Kept>();

  constructor(out: Writer) {
    this.#out = out;
  }

  /** Keeps what the device holds now. */
  keep(entry: Entry): void {
    const description = entry.description as Description;
    const state = atOnce(entry.device?.save(), "SAVE_ASYNC", "save") as AnyRecord;
    const from = this.#out.pos;
    let copy: AnyRecord | undefined;
    try {
      writeState(this.#out, description, state);
    } catch {
      // What the wire would refuse is where the machine stands nevertheless.
      this.#out.pos = from;
      copy = copyState(description, state);
    }
    this.#kept.set(entry, { from, to: this.#out.pos, copy });
  }

  of(entry: Entry): AnyRecord {
    const { from, to, copy } = this.#kept.get(entry) as Kept;
    return copy ?? (decodeState(entry.description as Description, this.#out.bytes.subarray(from, to)) as AnyRecord);
  }
}
