// Restore: what is filled in place, what is replaced, and what is refused before the first assignment.
import { describe, expect, it } from "vitest";
import {
  array,
  buffer,
  capture,
  restore,
  type StateOf,
  struct,
  u8,
  u16,
  u64n,
  u64pair,
  varray,
  vmstate,
} from "../src/index.ts";
import {
  buffersIn,
  Device,
  device,
  Fifo,
  fifo,
  looseRestore,
  otherState,
  refusal,
  stateOfDevice,
} from "./capture-device.ts";

describe("restore", () => {
  it("fills in place: instances and memory keep their identity", () => {
    const target = new Device();
    const { words, map, channels, some, grid, part } = target;
    const [first, second] = channels;
    const inside = [first?.fifo, first?.fifo.bytes, grid[1], some[0]];
    const memory = new ArrayBuffer(16);
    target.map = new Uint8Array(memory);
    const live = new Uint8Array(memory);
    const state = otherState();
    state.map.fill(0xab);
    restore(device, target, state);
    expect(capture(device, target)).toEqual(state);
    expect([target.words, target.channels, target.some, target.grid, target.part]).toEqual([
      words,
      channels,
      some,
      grid,
      part,
    ]);
    expect([target.words === words, target.channels === channels, target.part === part]).toEqual([true, true, true]);
    expect(channels[0] === first && channels[1] === second).toBe(true);
    expect([first?.fifo, first?.fifo.bytes, grid[1], some[0]].every((one, i) => one === inside[i])).toBe(true);
    expect(first?.fifo.read()).toBe(13);
    expect(first?.parent).toBe(target);
    expect([...live]).toEqual(new Array(16).fill(0xab));
    expect([...map]).toEqual([...stateOfDevice().map]);
  });

  it("shares nothing with the state, where it replaces too", () => {
    const rows = vmstate({
      name: "rows",
      version: 1,
      fields: { n: u8, rows: varray("n", struct(fifo)), words: varray("n", u16), pairs: varray("n", u64pair) },
    });
    const target = { n: 0, rows: [], words: new Uint16Array(0), pairs: [] };
    const state: StateOf<typeof rows> = {
      n: 1,
      rows: [{ level: 1, bytes: Uint8Array.of(1, 2, 3, 4) }],
      words: Uint16Array.of(5),
      pairs: [[6, 7]],
    };
    restore(rows, target, state);
    const kept = structuredClone(state);
    expect(target).toEqual(kept);
    state.rows[0]?.bytes.fill(0xff);
    state.words.fill(0xff);
    (state.pairs[0] as unknown as number[])[0] = 0xff;
    state.rows.length = 0;
    expect(target).toEqual(kept);

    const fixed = new Device();
    const given = otherState();
    restore(device, fixed, given);
    const theirs = buffersIn(given);
    for (const buffer of buffersIn([fixed, fixed.part])) expect(theirs.has(buffer)).toBe(false);
  });

  it("leaves a pair alone, for it may be anybody's constant", () => {
    const clock = vmstate({ name: "clock", version: 1, fields: { time: u64pair, times: array(u64pair, 1) } });
    const zero: readonly [number, number] = [0, 0];
    const target = { time: zero, times: [zero] };
    restore(clock, target, { time: [1, 2], times: [[3, 4]] });
    expect([target, zero]).toEqual([{ time: [1, 2], times: [[3, 4]] }, [0, 0]]);
  });

  it("replaces arrays of another length by copies, and plain records with them", () => {
    const rows = vmstate({
      name: "rows",
      version: 1,
      fields: { n: u8, rows: varray("n", struct(fifo)), raw: buffer(2) },
    });
    const bare = Object.assign(Object.create(null) as object, { level: 9, bytes: new Uint8Array(4) });
    const target = {
      n: 4,
      rows: [{ level: 9, bytes: new Uint8Array(4), old: true }, bare, null, undefined] as { level: number }[],
      raw: new Uint8Array(9),
    };
    const state = {
      n: 2,
      rows: [1, 2].map((level) => ({ level, bytes: new Uint8Array(4) })),
      raw: Uint8Array.of(1, 2),
    };
    looseRestore(rows, target, state);
    expect(target).toStrictEqual(state);
    expect([
      target.rows === (state.rows as unknown),
      target.rows[0] === state.rows[0],
      target.raw === state.raw,
    ]).toEqual([false, false, false]);
  });

  it("makes no instances: a list of another length is refused", () => {
    const rows = vmstate({ name: "rows", version: 1, fields: { n: u8, rows: varray("n", struct(fifo)) } });
    const target = { n: 1, rows: [new Fifo(1)] };
    const two = { n: 2, rows: [1, 2].map((level) => ({ level, bytes: new Uint8Array(4) })) };
    expect(refusal(() => restore(rows, target, two))).toEqual(["COUNT_MISMATCH", "rows"]);
    expect(target.n).toBe(1);
    target.rows = two.rows.map(() => new Fifo());
    restore(rows, target, two);
    expect(target.rows.every((one) => one instanceof Fifo)).toBe(true);
    expect(target.rows.map(({ level }) => level)).toEqual([1, 2]);
  });

  it("calls setters, and proves what getters derive", () => {
    const queue = vmstate({ name: "queue", version: 1, fields: { count: u8, bytes: varray("count", u8), lcr: u8 } });
    class Queue {
      readonly log: number[] = [];
      #lcr = 0;
      bytes = new Uint8Array(0);
      get count(): number {
        return this.bytes.length;
      }
      get lcr(): number {
        return this.#lcr;
      }
      set lcr(value: number) {
        this.log.push(value);
        this.#lcr = value;
      }
    }
    const target = new Queue();
    restore(queue, target, { count: 3, bytes: Uint8Array.of(1, 2, 3), lcr: 5 });
    expect([target.count, [...target.bytes], target.lcr, target.log]).toEqual([3, [1, 2, 3], 5, [5]]);
    restore(queue, target, capture(queue, target));
    expect(target.log).toEqual([5, 5]);
    expect(refusal(() => restore(queue, target, { count: 2, bytes: Uint8Array.of(1), lcr: 0 }))).toEqual([
      "FIELD_CHECK",
      "count",
    ]);
  });

  it("finds out that what a getter gives was only a copy", () => {
    class Copying {
      level = 0;
      #bytes = new Uint8Array(4);
      get bytes(): Uint8Array {
        return this.#bytes.slice();
      }
    }
    class Taking extends Copying {
      taken: Uint8Array | undefined;
      override get bytes(): Uint8Array {
        return this.taken?.slice() ?? super.bytes;
      }
      override set bytes(value: Uint8Array) {
        this.taken = value.slice();
      }
    }
    class Live extends Copying {
      readonly memory = new ArrayBuffer(8);
      override get bytes(): Uint8Array {
        return new Uint8Array(this.memory, 2, 4);
      }
    }
    const state = { level: 1, bytes: Uint8Array.of(1, 2, 3, 4) };
    expect(refusal(() => restore(fifo, new Copying(), state))).toEqual(["FIELD_CHECK", "bytes"]);
    for (const target of [new Taking(), new Live()]) {
      restore(fifo, target, state);
      expect(capture(fifo, target)).toEqual(state);
    }
  });

  it("does not pass over what is frozen", () => {
    const frozen = Object.freeze({ level: 1, bytes: new Uint8Array(4) });
    restore(fifo, frozen, { level: 1, bytes: Uint8Array.of(1, 2, 3, 4) });
    expect([...frozen.bytes]).toEqual([1, 2, 3, 4]);
    expect(refusal(() => restore(fifo, frozen, { level: 2, bytes: new Uint8Array(4) }))).toEqual([
      "FIELD_CHECK",
      "level",
    ]);
  });

  it("fills an array whose elements are not there yet", () => {
    const lists = vmstate({
      name: "lists",
      version: 1,
      fields: { safe: array(u64n, 2), rows: array(struct(fifo), 1) },
    });
    const target = { safe: new Array<number>(2), rows: new Array<StateOf<typeof fifo>>(1) };
    const { safe, rows } = target;
    const state = { safe: [1, 2], rows: [{ level: 1, bytes: Uint8Array.of(1, 2, 3, 4) }] };
    restore(lists, target, state);
    expect(target).toStrictEqual(state);
    expect([target.safe === safe, target.rows === rows, rows[0] === state.rows[0]]).toEqual([true, true, false]);
  });

  it("reads all of the state before it writes: a target's own arrays may stand in it, exchanged", () => {
    const two = vmstate({ name: "two", version: 1, fields: { a: buffer(2), b: buffer(2), c: array(u64n, 2) } });
    const memory = Uint8Array.of(1, 2, 3, 4);
    const target = { a: memory.subarray(0, 2), b: memory.subarray(2), c: [5, 6] };
    restore(two, target, { a: target.b, b: target.a, c: target.c });
    expect([[...target.a], [...target.b], target.c]).toEqual([
      [3, 4],
      [1, 2],
      [5, 6],
    ]);
  });

  it("finds out that one thing stands under two names, unless their states agree", () => {
    const pair = vmstate({
      name: "pair",
      version: 1,
      fields: {
        a: struct(vmstate({ name: "a", version: 1, fields: { raw: buffer(1), list: array(u64n, 1), n: u8 } })),
        b: struct(vmstate({ name: "b", version: 1, fields: { raw: buffer(1), list: array(u64n, 1), n: u8 } })),
      },
    });
    const part = (value: number) => ({ raw: Uint8Array.of(value), list: [value], n: value });
    const raw = new Uint8Array(1);
    const list = [0];
    const one = part(0);
    const targets: readonly (readonly [string, StateOf<typeof pair>])[] = [
      ["a.raw", { a: { ...part(0), raw }, b: { ...part(0), raw } }],
      ["a.list", { a: { ...part(0), list }, b: { ...part(0), list } }],
      ["a", { a: one, b: one }],
    ];
    for (const [path, target] of targets) {
      const found = refusal(() => restore(pair, target, { a: part(1), b: part(2) }));
      expect(found[0]).toBe("FIELD_CHECK");
      expect(found[1]).toMatch(new RegExp(`^${path}`));
      restore(pair, target, { a: part(3), b: part(3) });
      expect(target).toEqual({ a: part(3), b: part(3) });
    }
  });

  it("refuses a read-only property that differs before it assigns anything", () => {
    const inner = Object.defineProperty({ level: 1, bytes: new Uint8Array(4) }, "level", { writable: false });
    const outer = vmstate({ name: "outer", version: 1, fields: { first: u8, fifo: struct(fifo), words: buffer(1) } });
    const target = { first: 1, fifo: inner, words: Uint8Array.of(1) };
    const state = { first: 2, fifo: { level: 3, bytes: Uint8Array.of(1, 2, 3, 4) }, words: Uint8Array.of(2) };
    const before = capture(outer, target);
    expect(refusal(() => restore(outer, target, state))).toEqual(["FIELD_CHECK", "fifo.level"]);
    expect(capture(outer, target)).toEqual(before);
    state.fifo.level = 1;
    restore(outer, target, state);
    expect(capture(outer, target)).toEqual(state);
    const frozen = Object.freeze({ level: 1, bytes: new Uint8Array(3) });
    expect(refusal(() => looseRestore(fifo, frozen, { level: 1, bytes: new Uint8Array(4) }))).toEqual([
      "FIELD_CHECK",
      "bytes",
    ]);
  });

  it("checks all before it assigns anything", () => {
    const wrongs: readonly (readonly [string, string, (state: Record<string, never>) => void])[] = [
      ["FIELD_MISSING", "part", (s) => Reflect.deleteProperty(s, "part")],
      ["FIELD_MISSING", "part.value", (s) => Object.assign(s, { part: {} })],
      ["BITS_RANGE", "part.value", (s) => Object.assign(s, { part: { value: "1" } })],
      ["BITS_RANGE", "some[0].level", (s) => Object.assign((s["some"] as never)[0], { level: 256 })],
      ["FIELD_MISSING", "some[0].bytes", (s) => Object.assign((s["some"] as never)[0], { bytes: null })],
      ["COUNT_MISMATCH", "channels", (s) => (s["channels"] as unknown as unknown[]).pop()],
    ];
    for (const [code, path, edit] of wrongs) {
      const target = new Device();
      const state = otherState();
      edit(state as never);
      expect(refusal(() => restore(device, target, state))).toEqual([code, path]);
      expect(capture(device, target)).toEqual(stateOfDevice());
    }
    const { part: _, ...lacking } = { ...new Device(), part: 0 };
    expect(refusal(() => looseRestore(device, lacking, otherState()))).toEqual(["FIELD_MISSING", "part"]);
    expect([lacking.lcr, lacking.channels[0]?.id]).toEqual([3, 1]);
    for (const target of [undefined, null, 5]) {
      expect(refusal(() => looseRestore(device, target, otherState()))).toEqual(["FIELD_MISSING", undefined]);
    }
  });
});
