// An iterable handler that fails on demand: its data are one run of bytes, sent in pieces while the machine runs.
import {
  type BodyDecoder,
  type Cursor,
  type KernelForPlugins,
  MigrationError,
  type Registration,
  type StagedIterable,
  type Writer,
} from "@godwit/core";
import { CallLog, type Calls, type Failing, failure } from "./calls.ts";

/** Everything that a kernel calls of a handler, and of what it stages. */
export type IterableCall =
  | "setup"
  | "pending"
  | "iterate"
  | "complete"
  | "cleanup"
  | "stage"
  | "decode"
  | "commit"
  | "revert"
  | "discard";

export interface FailingIterableInit {
  /** The default is `failing-iterable`. */
  readonly idstr?: string;
  readonly instance?: number;
  readonly fail?: Partial<Record<IterableCall, Failing>>;
  /** What they throw; the default is an `Error` that names the call. */
  readonly with?: unknown;
  /** What it has to send; a destination has as many. The default is 4096 bytes of a pattern. */
  readonly data?: Uint8Array;
}

export interface FailingIterable {
  readonly registration: Registration;
  readonly calls: Calls<IterableCall>;
  /** What it sends, and what the last commit gave it. */
  data: Uint8Array;
}

/** Registers it. A section is pieces: a u32 offset, a u32 length, so many bytes from there, and 1 where another follows. */
export function failingIterable(kernel: KernelForPlugins, init: FailingIterableInit = {}): FailingIterable {
  const { idstr = "failing-iterable", instance = 0, fail = {} } = init;
  const calls = new CallLog<IterableCall>(fail, "with" in init ? () => init.with : failure(`${idstr}/${instance}`));
  let sent = 0;
  /** True: all is sent. `whole`: the pieces of one section go on until then. */
  const send = (out: Writer, bytes: number, whole: boolean): boolean => {
    const piece = handler.data.subarray(sent, sent + bytes);
    out.u32(sent);
    out.u32(piece.length);
    out.raw(piece);
    sent += piece.length;
    const isLast = sent === handler.data.length;
    out.u8(whole && !isLast ? 1 : 0);
    return isLast;
  };
  const registration = kernel.iterable({
    idstr,
    instance,
    version: 1,
    setup(out) {
      calls.called("setup");
      sent = 0;
      send(out, 0, false);
    },
    pending(exact) {
      calls.called("pending", exact);
      return { mustPrecopyBytes: handler.data.length - sent, canPostcopyBytes: 0 };
    },
    iterate(out, budgetBytes) {
      calls.called("iterate", budgetBytes);
      return send(out, pieceBytes(budgetBytes), false);
    },
    complete(out, budgetBytes) {
      calls.called("complete", budgetBytes);
      return send(out, pieceBytes(budgetBytes), true);
    },
    cleanup: (completed) => calls.called("cleanup", completed),
    stage() {
      calls.called("stage");
      return staged(handler, calls);
    },
  });
  const handler: FailingIterable = { registration, calls, data: init.data?.slice() ?? pattern() };
  return handler;
}

function pieceBytes(budgetBytes: number): number {
  return Math.max(1, Math.min(budgetBytes, 0xffff));
}

function pattern(): Uint8Array {
  return Uint8Array.from({ length: 4096 }, (_, i) => (i * 167 + (i >> 8)) & 0xff);
}

function staged(handler: FailingIterable, calls: CallLog<IterableCall>): StagedIterable {
  const incoming = new Uint8Array(handler.data.length);
  const before = handler.data;
  return {
    decoder: () => new PieceDecoder(incoming, () => calls.called("decode")),
    commit() {
      calls.called("commit");
      handler.data = incoming;
    },
    revert() {
      handler.data = before;
      calls.called("revert");
    },
    discard: () => calls.called("discard"),
  };
}

const headBytes = 8;

/** Copies pieces to their places as their bytes come; `value` is undefined, since nothing of it is left to be kept. */
class PieceDecoder implements BodyDecoder<undefined> {
  readonly #into: Uint8Array;
  readonly #begun: () => void;
  #at: number;
  /** Of the piece that is being read; undefined: its head comes next. Bytes. */
  #left: number | undefined;

  constructor(into: Uint8Array, begun: () => void, at = 0, left?: number) {
    this.#into = into;
    this.#begun = begun;
    this.#at = at;
    this.#left = left;
  }

  resume(cursor: Cursor): boolean {
    for (;;) {
      if (this.#left === undefined) {
        if (cursor.available < headBytes) return false;
        this.#left = this.#head(cursor);
      }
      const taken = Math.min(this.#left, cursor.available);
      this.#into.set(cursor.bytes.subarray(cursor.pos, cursor.pos + taken), this.#at);
      cursor.pos += taken;
      this.#at += taken;
      this.#left -= taken;
      if (this.#left > 0 || cursor.available === 0) return false;
      this.#left = undefined;
      if (cursor.u8() === 0) return true;
    }
  }

  #head(cursor: Cursor): number {
    this.#begun();
    const { offset } = cursor;
    this.#at = cursor.u32();
    const length = cursor.u32();
    if (this.#at + length <= this.#into.length) return length;
    throw new MigrationError("LENGTH_BOUND", "a piece reaches beyond the data", {
      offset,
      expected: `at most ${this.#into.length} bytes`,
      found: `${length} bytes from ${this.#at} on`,
    });
  }

  value(): undefined {
    return undefined;
  }

  path(): string | undefined {
    return this.#left === undefined ? "offset" : "data";
  }

  fork(): PieceDecoder {
    return new PieceDecoder(this.#into.slice(), this.#begun, this.#at, this.#left);
  }
}
