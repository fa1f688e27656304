// The laws of the codec, over random descriptions of every field kind and random states of them.

import { countedList, markedList, type Sample, samples, simples } from "@godwit/test-support/plans";
import fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { Cursor } from "../src/cursor.ts";
import { isMigrationError, type MigrationError } from "../src/errors.ts";
import {
  array,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  recordDecoder,
  struct,
  toState,
  u8,
  u16,
  u32,
  u64,
  unused,
  varray,
  vmstate,
  type WireRecord,
  writeState,
} from "../src/index.ts";
import { accelerate } from "../src/jit.ts";
import { bodyOf } from "../src/vmstate/compile.ts";
import { acceleration } from "../src/vmstate/fast.ts";
import { generate } from "../src/vmstate/jit.ts";
import { Writer } from "../src/writer.ts";

const seed = 20_261_121;
const runs = (numRuns: number): fc.Parameters<unknown> => ({ seed, numRuns });

/** What a test uses of a copy of core. */
type Core = Pick<
  typeof import("../src/index.ts"),
  | "decodeRecord"
  | "decodeState"
  | "encodeRecord"
  | "encodeState"
  | "writeState"
  | "recordDecoder"
  | "toState"
  | "Cursor"
  | "Writer"
>;

interface Fed {
  readonly record: WireRecord;
  readonly fields: number;
  readonly allocatedBytes: number;
  /** Bytes that the decoder left. */
  readonly rest: number;
}

/** Feeds the bytes in chunks, each in a buffer that is overwritten afterwards. */
function feed(
  description: Description,
  bytes: Uint8Array,
  chunkBytes: number,
  core: Pick<Core, "recordDecoder" | "Cursor"> = { recordDecoder, Cursor },
): Fed {
  const decoder = core.recordDecoder(description, description.version);
  const cursor = new core.Cursor();
  const chunk = new Uint8Array(chunkBytes);
  for (let at = 0; ; at += chunkBytes) {
    const part = chunk.subarray(0, Math.min(chunkBytes, bytes.length - at));
    part.set(bytes.subarray(at, at + part.length));
    cursor.append(part);
    cursor.final = at + chunkBytes >= bytes.length;
    const done = decoder.resume(cursor);
    cursor.release();
    part.fill(0xee);
    if (done) {
      const { fields, allocatedBytes } = cursor;
      return { record: decoder.value(), fields, allocatedBytes, rest: bytes.length - cursor.offset };
    }
    if (cursor.final) throw new Error(`not complete at ${decoder.path()}`);
  }
}

function errorOf(run: () => unknown): MigrationError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!isMigrationError(error)) throw error;
    return error;
  }
}

function located(error: MigrationError | undefined, length: number): void {
  if (error === undefined) return;
  const { path, offset } = error.location;
  expect([error.message, typeof path]).toEqual([error.message, "string"]);
  expect(path).not.toContain("undefined");
  expect(offset).toBeGreaterThanOrEqual(0);
  expect(offset).toBeLessThanOrEqual(length);
}

const footer = Uint8Array.of(0x7e, 0, 0, 0, 1);

describe.each(["nodes", "generated code"])("laws of the codec: %s", (by) => {
  beforeAll(() => {
    acceleration.generate = by === "nodes" ? undefined : generate;
  });

  it("state to bytes to state gives the state, and the record its bytes", () => {
    fc.assert(
      fc.property(samples(3), ({ description, state }) => {
        const bytes = encodeState(description, state).slice();
        expect(decodeState(description, bytes)).toEqual(state);
        const record = decodeRecord(description, bytes);
        expect(encodeRecord(description, record)).toEqual(bytes);
        expect(encodeState(description, toState(description, record))).toEqual(bytes);
      }),
      runs(400),
    );
  });

  it("every chunking gives the same record, with work within twice the least", () => {
    fc.assert(
      fc.property(samples(3), ({ description, state }) => {
        const bytes = encodeState(description, state).slice();
        const whole = decodeRecord(description, bytes);
        const all = Uint8Array.of(...bytes, ...footer);
        const fed = [1, 7, 64, 4096, all.length].map((chunkBytes) => feed(description, all, chunkBytes));
        const least = Math.min(...fed.map((f) => f.fields));
        for (const { record, rest, fields } of fed) {
          expect(record).toEqual(whole);
          expect(rest).toBeLessThanOrEqual(footer.length);
          // A value without bytes may be met once more where a chunk ends.
          expect(fields).toBeLessThanOrEqual(2 * least + 8);
        }
      }),
      runs(200),
    );
  });

  it("forks at every byte go on by themselves", () => {
    fc.assert(
      fc.property(samples(2), ({ description, state }) => {
        const bytes = encodeState(description, state).slice(0);
        fc.pre(bytes.length <= 600);
        const whole = decodeRecord(description, bytes);
        const all = Uint8Array.of(...bytes, ...footer);
        const decoder = recordDecoder(description, description.version);
        const cursor = new Cursor();
        let done = false;
        for (let at = 0; at < all.length && !done; at++) {
          const fork = { decoder: decoder.fork(), cursor: cursor.fork() };
          fork.cursor.append(all.slice(at));
          expect(fork.decoder.resume(fork.cursor)).toBe(true);
          expect(fork.decoder.value()).toEqual(whole);
          expect(fork.cursor.offset).toBe(bytes.length);
          cursor.append(all.slice(at, at + 1));
          done = decoder.resume(cursor);
          cursor.release();
        }
        expect(decoder.value()).toEqual(whole);
      }),
      runs(60),
    );
  });

  it("a cut at every byte is a truncation, with the element that is missing", () => {
    fc.assert(
      fc.property(samples(2), ({ description, state }) => {
        const bytes = encodeState(description, state).slice();
        fc.pre(bytes.length <= 600);
        for (let cut = 0; cut < bytes.length; cut++) {
          const part = bytes.slice(0, cut);
          const error = errorOf(() => expect(encodeRecord(description, decodeRecord(description, part))).toEqual(part));
          // What ends before a subsection is complete, too; and a header that is cut off may be data, if it is the end.
          if (error === undefined) expect(bytes.subarray(0, cut + 1)).toContain(0x05);
          else {
            expect(error.code).toBe("STREAM_TRUNCATED");
            located(error, cut);
          }
          const decoder = recordDecoder(description, description.version);
          const cursor = new Cursor(part);
          expect(decoder.resume(cursor)).toBe(false);
          expect(typeof decoder.path()).toBe("string");
        }
      }),
      runs(80),
    );
  });

  const mutated = samples(2).chain(({ description, state }) => {
    const bytes = encodeState(description, state).slice();
    const edit = fc.record({
      at: fc.nat(Math.max(0, bytes.length - 1)),
      byte: fc.constantFrom(0, 1, 5, 0x30, 0x7f, 0x80, 0xff),
    });
    const any = fc.record({ at: fc.nat(Math.max(0, bytes.length - 1)), byte: fc.nat(255) });
    return fc
      .tuple(fc.array(fc.oneof(edit, any), { minLength: 1, maxLength: 4 }), fc.nat(description.version))
      .map(([edits, version]) => {
        const changed = bytes.slice();
        for (const { at, byte } of edits) changed[at] = byte;
        return { description, version, bytes: changed.slice(0, bytes.length) };
      });
  });

  it("changed bytes decode to a record that gives them back, or fail with a place, and allocate no more than came", () => {
    let decoded = 0;
    let refused = 0;
    fc.assert(
      fc.property(mutated, ({ description, version, bytes }) => {
        const cursor = new Cursor(bytes);
        cursor.final = true;
        const error = errorOf(() => recordDecoder(description, version).resume(cursor));
        expect(cursor.allocatedBytes).toBeLessThanOrEqual(4 * bytes.length + 4096);
        expect(cursor.fields).toBeLessThanOrEqual(8 * bytes.length + 20_000);
        located(error, bytes.length);
        const whole = errorOf(() => {
          const record = decodeRecord(description, bytes, { version, offset: 0 });
          expect(encodeRecord(description, record)).toEqual(bytes);
          decoded++;
          const state = toState(description, record);
          // A state that changed bytes make is written in one way, and read as itself.
          if (version === description.version) {
            expect(decodeState(description, encodeState(description, state))).toEqual(state);
          }
        });
        if (whole !== undefined) refused++;
        if (whole !== undefined && whole.code !== "ABSENT_MISMATCH") located(whole, bytes.length);
        // Chunked, it is the same error at the same place.
        if (error !== undefined) {
          const again = errorOf(() => {
            const decoder = recordDecoder(description, version);
            const slow = new Cursor();
            for (const byte of bytes) {
              slow.append(Uint8Array.of(byte));
              if (decoder.resume(slow)) return;
              slow.release();
            }
            slow.final = true;
            decoder.resume(slow);
          });
          expect(again?.toJSON()).toEqual(error.toJSON());
        }
      }),
      runs(1500),
    );
    expect(decoded).toBeGreaterThan(300);
    expect(refused).toBeGreaterThan(100);
  });

  it("tools decode what a machine's own values would refuse", () => {
    let decoded = 0;
    fc.assert(
      fc.property(mutated, ({ description, version, bytes }) => {
        const error = errorOf(() => decodeRecord(description, bytes, { version, checks: false }));
        expect(["FIELD_UNEQUAL"]).not.toContain(error?.code);
        if (error === undefined) decoded++;
      }),
      runs(300),
    );
    expect(decoded).toBeGreaterThan(30);
  });
});

describe("code of a body's own", () => {
  beforeAll(accelerate);

  /** What decoding changed bytes gives: a record, or an error with its place. */
  const outcome = (core: Core, description: Description, bytes: Uint8Array): unknown => {
    let record: WireRecord | undefined;
    const error = errorOf(() => {
      record = core.decodeRecord(description, bytes);
    });
    return error?.toJSON() ?? { record, state: core.toState(description, record as WireRecord) };
  };
  const changes = fc.array(fc.record({ at: fc.double({ min: 0, max: 0.999, noNaN: true }), byte: fc.nat(255) }), {
    minLength: 1,
    maxLength: 8,
  });
  const longer = Symbol("longer");
  const wrong = fc.constantFrom<unknown>(
    ...[undefined, null, -1, 1.5, 2 ** 40, "1", 5n, -5n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 63n) - 1n],
    ...[[], {}, true, Uint8Array.of(1), longer, longer],
  );

  const spoils = fc.array(fc.tuple(wrong, fc.nat()), { minLength: 10, maxLength: 30 });

  /** Puts a value that may not be right into some place of a state. */
  function spoil(state: unknown, by: unknown, where: number): unknown {
    if (typeof state !== "object" || state === null || ArrayBuffer.isView(state)) return by === longer ? 7 : by;
    const keys = Object.keys(state);
    if (keys.length === 0) return by === longer ? 7 : by;
    if (by === longer && Array.isArray(state) && where % 3 !== 0) return [...state, state[0]];
    const key = keys[where % keys.length] as string;
    const inner = spoil((state as Record<string, unknown>)[key], by, Math.floor(where / keys.length));
    if (Array.isArray(state)) return state.map((one, i) => (String(i) === key ? inner : one));
    return { ...state, [key]: inner };
  }

  /** Another copy of core, which has been told that it may not evaluate text, as by a browser's policy. */
  async function strictCore(): Promise<Core> {
    vi.resetModules();
    const core = (await import("../src/index.ts")) as Core;
    const jit = await import("../src/jit.ts");
    const evaluator = vi.fn(function forbidden() {
      throw new EvalError("forbidden");
    });
    vi.stubGlobal("Function", evaluator);
    try {
      const use = (name: string) => {
        const description = vmstate({ name, version: 1, fields: { x: u8 } });
        for (let i = 0; i < 50; i++) expect(core.decodeState(description, Uint8Array.of(i))).toEqual({ x: i });
      };
      use("before");
      expect(evaluator).not.toHaveBeenCalled();
      jit.accelerate();
      use("first");
      use("second");
      expect(evaluator).toHaveBeenCalledTimes(1);
    } finally {
      vi.unstubAllGlobals();
    }
    return core;
  }
  const ownCore: Core = {
    decodeRecord,
    decodeState,
    encodeRecord,
    encodeState,
    writeState,
    recordDecoder,
    toState,
    Cursor,
    Writer,
  };
  /** Written over bytes that were something else. */
  function writtenInto(core: Core, description: Description, state: object, length: number): Uint8Array {
    const out = new core.Writer(new Uint8Array(length).fill(0xaa));
    core.writeState(out, description, state);
    return out.written();
  }
  const isFast = (description: Description): boolean => {
    const { description: inner } = description.fields["one"] as unknown as { description: Description };
    return bodyOf(inner).fast() !== undefined;
  };

  it("does what the nodes do, which do it alone where text cannot be evaluated", async () => {
    const strict = await strictCore();
    let generated = 0;
    fc.assert(
      fc.property(simples(), changes, spoils, ({ description, state }, edits, wrongs) => {
        const bytes = encodeState(description, state).slice();
        const all = Uint8Array.of(...bytes, ...footer);
        const changed = edits.map(({ at, byte }) => bytes.with(Math.floor(at * bytes.length), byte));
        const cuts = edits.map(({ at }) => bytes.slice(0, Math.floor(at * bytes.length)));
        const spoilt = wrongs.map(([by, where]) => spoil(state, by, where));
        const look = (core: Core): unknown => {
          for (let i = 0; i < 20; i++) core.encodeState(description, core.decodeState(description, bytes));
          const read = core.decodeRecord(description, bytes);
          return {
            record: read,
            state: core.toState(description, read),
            bytes: core.encodeState(description, state).slice(),
            into: writtenInto(core, description, state, bytes.length),
            again: core.encodeRecord(description, read).slice(),
            changed: changed.map((one) => outcome(core, description, one)),
            cuts: cuts.map((one) => outcome(core, description, one)),
            chunks: [7, 100].map((chunkBytes) => feed(description, all, chunkBytes, core).record),
            fields: feed(description, all, all.length, core).fields,
            spoilt: spoilt.map((one) => errorOf(() => core.encodeState(description, one as never))?.toJSON()),
          };
        };
        expect(look(ownCore)).toEqual(look(strict));
        expect(decodeState(description, bytes)).toEqual(state);
        if (isFast(description)) generated++;
      }),
      runs(200),
    );
    // Arrays of pairs and of safe integers are no simple fields.
    expect(generated).toBeGreaterThan(120);
  });

  it("refuses a mark that is none, at its place", async () => {
    const description = vmstate({
      name: "lists",
      version: 1,
      fields: { all: markedList(struct(vmstate({ name: "el", version: 1, fields: { x: u16 } }))), end: u8 },
    });
    const good = Uint8Array.of(1, 0, 7, 1, 0, 8, 0, 9);
    for (const core of [ownCore, await strictCore()]) {
      for (let i = 0; i < 40; i++) expect(core.decodeRecord(description, good)["all"]).toEqual([{ x: 7 }, { x: 8 }]);
      const error = errorOf(() => core.decodeRecord(description, good.with(3, 2)));
      expect([error?.code, error?.location.path, error?.location.offset]).toEqual(["FIELD_CHECK", "all[1]", 3]);
    }
  });

  it("takes a subsection behind an element for what it is", async () => {
    const description = vmstate({
      name: "outer",
      version: 1,
      fields: {
        n: u8,
        counted: varray("n", struct(vmstate({ name: "el", version: 1, fields: { x: u16 } }))),
        after: array(u8, 10),
      },
    });
    const header = [5, 4, 0x65, 0x6c, 0x2f, 0x61, 0, 0, 0, 1];
    for (const core of [ownCore, await strictCore()]) {
      for (let i = 0; i < 40; i++) core.decodeRecord(description, Uint8Array.of(1, 0, 7, ...new Array(10).fill(1)));
      const bytes = Uint8Array.of(2, 0, 7, 0, 5, ...header);
      const error = errorOf(() => core.decodeRecord(description, bytes));
      expect([error?.code, error?.location.path, error?.location.offset]).toEqual([
        "SUBSECTION_UNKNOWN",
        "counted[1].(subsection)",
        5,
      ]);
      // The same, where the chunk ends behind the element.
      const decoder = core.recordDecoder(description, 1);
      const cursor = new core.Cursor(bytes.slice(0, 5));
      expect(decoder.resume(cursor)).toBe(false);
      cursor.append(bytes.slice(5));
      expect(errorOf(() => decoder.resume(cursor))?.toJSON()).toEqual(error?.toJSON());
    }
  });
});

describe.each(["nodes", "generated code"])("work and memory of large records: %s", (by) => {
  beforeAll(() => {
    acceleration.generate = by === "nodes" ? undefined : generate;
  });

  const address = vmstate({ name: "virtqueue_state", version: 1, fields: { avail: u64, used: u64 } });
  const modern = vmstate({
    name: "virtio_pci/modern_queue_state",
    version: 1,
    fields: {
      num: u16,
      _unused: unused(1),
      enabled: u8,
      desc: array(u32, 2),
      avail: array(u32, 2),
      used: array(u32, 2),
    },
  });
  const virtio = vmstate({
    name: "virtio-like",
    version: 1,
    fields: { config: array(u8, 256), addresses: array(struct(address), 1024), queues: array(struct(modern), 1024) },
  });
  const virtioState = {
    config: new Uint8Array(256).fill(3),
    addresses: Array.from({ length: 1024 }, (_, i) => ({ avail: BigInt(i), used: BigInt(5 * i) })),
    queues: Array.from({ length: 1024 }, (_, i) => ({
      num: i,
      enabled: 5,
      desc: Uint32Array.of(i, 5),
      avail: Uint32Array.of(0x05050505, 2),
      used: Uint32Array.of(3, 4),
    })),
  };
  const entry = vmstate({ name: "entry", version: 1, fields: { summary: u32, length: u32 } });
  const lists = vmstate({ name: "lists", version: 1, fields: { all: array(countedList(struct(entry)), 5), end: u8 } });
  const listsState = {
    all: Array.from({ length: 5 }, (_, k) => Array.from({ length: 200 }, (_, i) => ({ summary: k, length: 5 * i }))),
    end: 5,
  };
  // The innermost level holds nearly all of the bytes: a cut there must not repeat the work of every level.
  const nest = (levels: number): Description =>
    levels === 0
      ? vmstate({ name: "leaves", version: 1, fields: { rows: array(struct(entry), 500) } })
      : vmstate({ name: `level${levels}`, version: 1, fields: { inner: struct(nest(levels - 1)) } });
  const nestedState = Array.from({ length: 12 }).reduce((inner) => ({ inner }), {
    rows: Array.from({ length: 500 }, (_, i) => ({ summary: i, length: i })),
  });

  const cases: readonly (readonly [string, Sample])[] = [
    ["46 KB like virtio", { description: virtio as Description, state: virtioState }],
    ["1,000 list elements", { description: lists as Description, state: listsState }],
    ["twelve levels", { description: nest(12), state: nestedState as Sample["state"] }],
  ] as never;

  it.each(cases)("%s: linear at every chunk size", (_, { description, state }) => {
    const bytes = encodeState(description, state).slice();
    const all = Uint8Array.of(...bytes, ...footer);
    const whole = decodeRecord(description, bytes);
    expect(toState(description, whole)).toEqual(state);
    expect(encodeRecord(description, whole)).toEqual(bytes);
    const sizes = [1, 7, 1000, 4096, all.length >> 1, all.length - footer.length - 1, all.length];
    const fed = sizes.map((chunkBytes) => feed(description, all, chunkBytes));
    const least = Math.min(...fed.map((f) => f.fields));
    expect(least).toBeGreaterThan(1000);
    for (const { record, fields, allocatedBytes } of fed) {
      expect(record).toEqual(whole);
      expect(fields).toBeLessThanOrEqual(2 * least);
      expect(allocatedBytes).toBeLessThanOrEqual(8 * all.length);
    }
  });
});
