// The way back: what devices held before a state was taken over. As bytes in one buffer where bytes say all of it, so that
// a restore that succeeds has made nothing for a field; else as a copy.
import type { Entry } from "../registry/registry.ts";
import { decodeState, writeState } from "../vmstate/codec.ts";
import { copyState, returnsFromBytes } from "../vmstate/copy.ts";
import type { AnyRecord, Description } from "../vmstate/types.ts";
import type { Writer } from "../writer.ts";
import { atOnce } from "./synchronous.ts";

type Kept = { readonly from: number; readonly to: number } | { readonly copy: AnyRecord };

export class Before {
  readonly #out: Writer;
  readonly #kept = new Map<Entry, Kept>();

  constructor(out: Writer) {
    this.#out = out;
  }

  /** Keeps what the device holds now. Throws what its `save` throws, or why its state can be kept in neither way. */
  keep(entry: Entry): void {
    const description = entry.description as Description;
    const state = atOnce(entry.device?.save(), "SAVE_ASYNC", "save") as AnyRecord;
    const write = () => this.#write(description, state);
    const copy = (): Kept => ({ copy: copyState(description, state) });
    // What the wire would refuse is where the machine stands nevertheless; what is no plain data the wire may carry.
    const [first, second] = returnsFromBytes(description) ? [write, copy] : [copy, write];
    let kept: Kept;
    try {
      kept = first();
    } catch {
      kept = second();
    }
    this.#kept.set(entry, kept);
  }

  #write(description: Description, state: AnyRecord): Kept {
    const from = this.#out.pos;
    try {
      writeState(this.#out, description, state);
    } catch (error) {
      this.#out.pos = from;
      throw error;
    }
    return { from, to: this.#out.pos };
  }

  of(entry: Entry): AnyRecord {
    const kept = this.#kept.get(entry) as Kept;
    if ("copy" in kept) return kept.copy;
    return decodeState(entry.description as Description, this.#out.bytes.subarray(kept.from, kept.to)) as AnyRecord;
  }
}
