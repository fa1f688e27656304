// Capture and restore between described states and instances of classes: what is copied, what stays, what is refused.

import { countedList, markedList } from "@godwit/test-support/plans";
import { describe, expect, it, vi } from "vitest";
import {
  array,
  bool,
  buffer,
  type CustomItem,
  capture,
  cloneValue,
  cpudouble,
  customField,
  type Description,
  encodeState,
  type Field,
  i8,
  i64,
  restore,
  struct,
  timer,
  tmp,
  u8,
  u16,
  u32,
  u64,
  u64n,
  u64pair,
  vmstate,
  vstruct,
} from "../src/index.ts";
import {
  buffersIn,
  Device,
  device,
  Fifo,
  fifo,
  loose,
  looseRestore,
  refusal,
  stateOfDevice,
} from "./capture-device.ts";

describe("capture", () => {
  it("copies the described names of instances, and nothing else", () => {
    const state = capture(device, new Device());
    expect(state).toStrictEqual(stateOfDevice());
    expect(Object.keys(state)).toEqual(Object.keys(stateOfDevice()));
  });

  it("shares nothing with its source", () => {
    const source = new Device();
    const state = capture(device, source);
    const theirs = buffersIn([source, source.part]);
    expect(theirs.size).toBeGreaterThan(4);
    for (const buffer of buffersIn(state)) expect(theirs.has(buffer)).toBe(false);
    source.words.fill(0);
    source.channels.reverse();
    source.channels[0]?.fifo.bytes.fill(0xee);
    source.safe[0] = 9;
    source.grid[0]?.fill(9);
    source.part.value = 0;
    expect(state).toEqual(stateOfDevice());
  });

  it("reads each described name once", () => {
    const reads: string[] = [];
    const source = new Proxy(new Fifo(3), {
      get: (target, key) => {
        reads.push(String(key));
        return Reflect.get(target, key);
      },
    });
    expect(capture(fifo, source)).toEqual({ level: 3, bytes: Uint8Array.of(3, 3, 3, 3) });
    expect(reads).toEqual(["level", "bytes"]);
  });

  it("makes typed arrays of any array-like, and refuses what would not fit", () => {
    const wide = vmstate({ name: "wide", version: 1, fields: { words: array(u16, 2), longs: array(i64, 1) } });
    const memory = new Uint16Array(8).fill(5);
    for (const words of [[5, 5], Float64Array.of(5, 5), { length: 2, 0: 5, 1: 5 }, memory.subarray(2, 4)]) {
      const state = capture(wide, { words, longs: [-1n] });
      expect(state).toStrictEqual({ words: Uint16Array.of(5, 5), longs: BigInt64Array.of(-1n) });
      expect(state.words.buffer.byteLength).toBe(4);
    }
    const bad = [
      [5, 65_536],
      [5, -1],
      [5, 1.5],
      [5, Number.NaN],
      [5, "5"],
      [5, 5n],
      [5, {}],
      [5, true],
    ];
    for (const words of bad) {
      expect(refusal(() => loose(wide, { words, longs: [1n] }))).toEqual(["BITS_RANGE", "words[1]"]);
    }
    for (const words of [[5, undefined], [5, null], new Array(2).fill(5, 0, 1)]) {
      expect(refusal(() => loose(wide, { words, longs: [1n] }))).toEqual(["FIELD_MISSING", "words[1]"]);
    }
    for (const long of [1, 2n ** 63n, "1"]) {
      expect(refusal(() => loose(wide, { words: [1, 2], longs: [long] }))).toEqual(["BITS_RANGE", "longs[0]"]);
    }
    for (const words of ["55", 5, true, () => 5, {}]) {
      expect(refusal(() => loose(wide, { words, longs: [1n] }))).toEqual(["BITS_RANGE", "words"]);
    }
  });

  it("copies a subclass of a typed array, and not its memory", () => {
    class Shared extends Uint8Array {
      override slice(from?: number, to?: number): Uint8Array<ArrayBuffer> {
        return this.subarray(from, to) as unknown as Uint8Array<ArrayBuffer>;
      }
    }
    const opaque = vmstate({
      name: "opaque",
      version: 1,
      fields: { raw: buffer(2), own: customField(anyData()) as Field },
    });
    const memory = Shared.of(1, 2);
    const state = loose(opaque, { raw: memory, own: { memory } }) as { raw: Uint8Array; own: { memory: Uint8Array } };
    memory.fill(9);
    expect([...state.raw, ...state.own.memory]).toEqual([1, 2, 1, 2]);
    expect(state.raw.constructor).toBe(Uint8Array);
  });

  const numbers: readonly (readonly [string, Field, readonly unknown[], readonly unknown[]])[] = [
    ["u8", u8, [0, 255], [-1, 256, 0.5, Number.NaN, Number.POSITIVE_INFINITY, "1", 1n, true, {}, [], () => 1]],
    ["i8", i8, [-128, 127], [-129, 128]],
    ["u32", u32, [0, 0xffff_ffff], [-1, 2 ** 32, "1", 1n]],
    ["u64", u64, [0n, 2n ** 64n - 1n], [-1n, 2n ** 64n, 1]],
    ["i64", i64, [-(2n ** 63n), 2n ** 63n - 1n], [2n ** 63n, -(2n ** 63n) - 1n, 1]],
    ["u64n", u64n, [0, Number.MAX_SAFE_INTEGER], [-1, 2 ** 53, 0.5, 1n, "1"]],
    ["bool", bool, [true, false], [0, 1, "true", {}]],
    ["timer", timer, [null, 0n, 2n ** 64n - 2n], [2n ** 64n - 1n, -1n, 1, false]],
    ["cpudouble", cpudouble, [0n, 2n ** 64n - 1n], [1.5, -1n, 2n ** 64n]],
    ["pair", u64pair, [[0, 0xffff_ffff]], [[0], [0, 1, 2], "12", 5n, 12]],
  ];
  it.each(numbers)("takes what %s holds, and only that", (_, field, good, bad) => {
    const one = vmstate({ name: "one", version: 1, fields: { value: field } });
    for (const value of good) expect(loose(one, { value })).toEqual({ value });
    for (const value of bad) expect(refusal(() => loose(one, { value }))).toEqual(["BITS_RANGE", "value"]);
    expect(refusal(() => loose(one, {}))).toEqual(["FIELD_MISSING", "value"]);
    expect(refusal(() => looseRestore(one, { value: good[0] }, {}))).toEqual(["FIELD_MISSING", "value"]);
  });

  it("makes nothing to find out whether a number fits", () => {
    const classes = [Uint8Array, Int8Array, Uint16Array, Uint32Array, BigUint64Array, BigInt64Array];
    const spies = classes.map((one) => vi.spyOn(one as typeof Uint8Array, "of"));
    const four = vmstate({ name: "four", version: 1, fields: { a: u8, b: u32, c: u64, d: i64 } });
    const source = { a: 1, b: 0xffff_ffff, c: 1n, d: -1n };
    const state = capture(four, source);
    const calls = spies.map((spy) => spy.mock.calls.length);
    vi.restoreAllMocks();
    expect(state).toEqual(source);
    expect(calls).toEqual(classes.map(() => 0));
  });

  it("says with its path what is missing", () => {
    const at = (edit: (source: Record<string, never>) => unknown): readonly [string, string | undefined] => {
      const source = new Device();
      edit(source as never);
      return refusal(() => capture(device, source));
    };
    const drop = (value: unknown): ReturnType<typeof refusal>[] => [
      at((d) => Object.assign(d, { lcr: value })),
      at((d) => Object.assign((d["channels"] as never)[1], { fifo: value })),
      at((d) => Object.assign((d["channels"] as never)[1]["fifo"], { level: value })),
      at((d) => Object.assign(d["channels"] as unknown as object, { 0: value })),
      at((d) => Object.assign((d["some"] as never)[0], { bytes: value })),
      at((d) => Object.assign(d, { grid: [Int8Array.of(1, 2), value] })),
      at((d) => Object.assign(d["part"] as unknown as object, { value })),
      at((d) => Object.assign(d, { channels: value })),
      at((d) => Object.assign(d, { words: value })),
      at((d) => Object.assign(d, { pair: value })),
    ];
    const paths = [
      "lcr",
      "channels[1].fifo",
      "channels[1].fifo.level",
      "channels[0]",
      "some[0].bytes",
      "grid[1]",
      "part.value",
      "channels",
      "words",
      "pair",
    ];
    for (const value of [undefined, null]) {
      expect(drop(value)).toEqual(paths.map((path) => ["FIELD_MISSING", path]));
      expect(refusal(() => loose(device, value))).toEqual(["FIELD_MISSING", undefined]);
      expect(refusal(() => loose(device, { ...stateOfDevice(), part: value }))).toEqual(["FIELD_MISSING", "part"]);
    }
    expect(at((d) => Object.assign(d, { deadline: undefined }))).toEqual(["FIELD_MISSING", "deadline"]);
  });

  it("gives back what a getter throws", () => {
    const source = {
      bytes: new Uint8Array(4),
      get level(): number {
        throw new RangeError("the device's own");
      },
    };
    expect(() => capture(fifo, source)).toThrow(new RangeError("the device's own"));
  });
});

interface Tree {
  id: number;
  children: Tree[];
}
/** A description that holds itself, through a list that names its element late. */
function treeDescription(): Description<Tree> {
  const element: { field?: Field } = {};
  const children = customField<Tree[], { count: number; trees: Tree[] }>({
    kind: "children",
    begin: () => ({ count: -1, trees: [] }),
    next: (s) => (s.count < 0 ? u8 : s.trees.length < s.count ? element.field : undefined),
    take: (s, value) => {
      if (s.count < 0) s.count = value as number;
      else s.trees.push(value as Tree);
    },
    end: (s) => s.trees,
    *encode(trees): Iterable<CustomItem> {
      yield { field: u8, value: trees.length };
      for (const [i, value] of trees.entries()) yield { field: element.field as Field, value, segment: `[${i}]` };
    },
    map: (trees, each) => trees.map((tree) => each(element.field as Field, tree) as Tree),
  });
  const description = vmstate({ name: "tree", version: 1, fields: { id: u8, children } }) as Description<Tree>;
  element.field = struct(description);
  return description;
}

describe("cycles", () => {
  const inner = vmstate({ name: "inner", version: 1, fields: { x: u8 } });
  const outer = vmstate({ name: "outer", version: 1, fields: { x: u8, list: array(struct(inner), 1) } });
  const free = vmstate({ name: "free", version: 1, fields: { data: customField(anyData()) as Field } });

  it("are refused where a record holds itself", () => {
    const source = { x: 1, list: [] as unknown[] };
    source.list.push(source);
    expect(refusal(() => loose(outer, source))).toEqual(["RECORD_CYCLE", "list[0]"]);
    expect(refusal(() => looseRestore(outer, { x: 0, list: [{ x: 0 }] }, source))).toEqual(["RECORD_CYCLE", "list[0]"]);
  });

  it("are refused in lists that hold themselves", () => {
    const tree = treeDescription();
    const leaf = { id: 2, children: [] as Tree[] };
    const root = { id: 1, children: [{ id: 3, children: [] }, leaf] };
    expect(capture(tree, root)).toEqual(root);
    leaf.children.push(root);
    expect(refusal(() => capture(tree, root))).toEqual(["RECORD_CYCLE", "children[1].children[0]"]);
    expect(refusal(() => encodeState(tree, root))).toEqual(["RECORD_CYCLE", "children[1].children[0].children"]);
  });

  it("are refused in data that no field describes", () => {
    const data = { a: [{ b: {} as unknown }] };
    const source = { data };
    expect(loose(free, source)).toEqual(source);
    for (const loop of [data, data.a, data.a[0], source]) {
      (data.a[0] as { b: unknown }).b = loop;
      expect(refusal(() => loose(free, source))).toEqual(["RECORD_CYCLE", "data.a[0].b"]);
    }
  });

  it("are not what is merely met twice", () => {
    const shared = { level: 1, bytes: Uint8Array.of(1, 2, 3, 4) };
    const two = vmstate({ name: "two", version: 1, fields: { a: struct(fifo), b: array(struct(fifo), 2) } });
    const state = capture(two, { a: shared, b: [shared, shared] });
    expect(state).toEqual({ a: shared, b: [shared, shared] });
    expect(state.b[0]).not.toBe(state.b[1]);
    expect(loose(free, { data: [shared, shared] })).toEqual({ data: [shared, shared] });
  });

  it("of what no description names do not matter", () => {
    const source = new Fifo(1) as Fifo & { self: unknown };
    source.self = source;
    expect(capture(fifo, source)).toEqual({ level: 1, bytes: Uint8Array.of(1, 1, 1, 1) });
  });
});

/** Data that only its codec understands. */
function anyData(): Parameters<typeof customField<unknown, object>>[0] {
  return { kind: "any", begin: () => ({}), next: () => undefined, take: () => {}, end: () => ({}), encode: () => [] };
}

describe("lists and data of other kinds", () => {
  class Node {
    level: number;
    bytes = new Uint8Array(4);
    readonly queue: unknown;
    constructor(level: number, queue: unknown) {
      this.level = level;
      this.queue = queue;
    }
  }

  it.each([
    ["with a mark", markedList(struct(fifo))],
    ["counted", countedList(struct(fifo))],
  ])("of instances are captured by their description: %s", (_, nodes) => {
    const queue = vmstate({ name: "queue", version: 1, fields: { nodes } });
    const source: { nodes: Node[] } = { nodes: [] };
    source.nodes.push(new Node(1, source), new Node(2, source));
    const state = capture(queue, source);
    expect(state).toStrictEqual({
      nodes: [
        { level: 1, bytes: new Uint8Array(4) },
        { level: 2, bytes: new Uint8Array(4) },
      ],
    });
    for (const buffer of buffersIn(state)) expect(buffersIn(source.nodes).has(buffer)).toBe(false);
    expect(refusal(() => loose(queue, { nodes: [{ level: 256, bytes: [] }] }))).toEqual([
      "BITS_RANGE",
      "nodes[0].level",
    ]);
    expect(refusal(() => loose(queue, { nodes: [new Node(1, 0), { bytes: [] }] }))).toEqual([
      "FIELD_MISSING",
      "nodes[1].level",
    ]);
    expect(refusal(() => loose(queue, { nodes: undefined }))).toEqual(["FIELD_MISSING", "nodes"]);
  });

  it("keep the identity of their instances where the length is the same", () => {
    const queue = vmstate({ name: "queue", version: 1, fields: { nodes: markedList(struct(fifo)) } });
    const target = { nodes: [new Node(1, 0), new Node(2, 0)] };
    const [first] = target.nodes;
    const plain = { nodes: [{ level: 0, bytes: new Uint8Array(4) }] };
    const [record] = plain.nodes;
    restore(queue, plain, { nodes: [new Node(7, 0)] });
    expect([plain.nodes[0] === record, record]).toEqual([true, { level: 7, bytes: new Uint8Array(4) }]);
    restore(queue, target, { nodes: [{ level: 5, bytes: Uint8Array.of(5, 6, 7, 8) }, new Node(6, 1)] });
    expect(target.nodes[0]).toBe(first);
    expect(target.nodes.map(({ level, queue }) => [level, queue])).toEqual([
      [5, 0],
      [6, 0],
    ]);
  });

  it("see the records around them", () => {
    const seen: unknown[] = [];
    const looking = customField<unknown[], object>({
      ...(anyData() as Parameters<typeof customField<unknown[], object>>[0]),
      map: (values, _each, { record, parent, version }) => {
        seen.push([record["id"], version, parent?.record["id"], parent?.version, parent?.parent]);
        return values;
      },
    });
    const low = vmstate({ name: "low", version: 3, minimumVersion: 1, fields: { id: u8, values: looking } });
    const high = vmstate({
      name: "high",
      version: 7,
      fields: { id: u8, newest: struct(low), fixed: vstruct(low, 2), values: looking },
    });
    const values = [1];
    const source = { id: 1, newest: { id: 2, values }, fixed: { id: 3, values }, values };
    expect(capture(high, source)).toEqual(source);
    expect(seen).toEqual([
      [2, 3, 1, 7, undefined],
      [3, 2, 1, 7, undefined],
      [1, 7, undefined, undefined, undefined],
    ]);
  });

  it("are copied deeply where no field describes them, and put back whole", () => {
    class Vector {
      x = 1;
      y = { deep: [1n, "two", null, undefined, Float32Array.of(1.5)] };
      length2(): number {
        return this.x;
      }
    }
    const wire = vmstate({ name: "wire", version: 1, fields: { x: u8 } });
    const own = vmstate({
      name: "own",
      version: 1,
      fields: {
        vector: tmp(wire, { save: ({ x }: Vector) => ({ x }), load: ({ x }) => Object.assign(new Vector(), { x }) }),
        data: customField(anyData()) as Field,
      },
    });
    const source = { vector: new Vector(), data: { list: [{ a: 1 }], bytes: Uint8Array.of(1) } };
    const state = loose(own, source) as { vector: Vector; data: typeof source.data };
    expect(state).toEqual({ vector: { ...source.vector }, data: source.data });
    expect(state.vector.y.deep).not.toBe(source.vector.y.deep);
    for (const buffer of buffersIn(state)) expect(buffersIn(source).has(buffer)).toBe(false);

    const target = { vector: new Vector(), data: { list: [{ a: 5 }, { a: 6 }], stale: true } as unknown };
    const { vector } = target;
    looseRestore(own, target, { ...state, vector: { ...state.vector, x: 8 } });
    expect(target.vector).toBe(vector);
    expect([vector.x, vector.length2()]).toEqual([8, 8]);
    expect(target.data).toEqual(source.data);
    expect(target.data).not.toBe(state.data);
  });

  it("are refused where they are no plain data", () => {
    const free = vmstate({ name: "free", version: 1, fields: { data: customField(anyData()) as Field } });
    const odd = [new Map(), new Set(), new Date(0), () => 1, new ArrayBuffer(1), /x/];
    for (const data of odd) {
      expect(refusal(() => loose(free, { data }))).toEqual(["BITS_RANGE", "data"]);
      expect(refusal(() => loose(free, { data: { deep: [data] } }))).toEqual(["BITS_RANGE", "data.deep[0]"]);
    }
    for (const data of [null, 1, 1n, "text", true, Object.assign(Object.create(null), { a: 1 })]) {
      expect(loose(free, { data })).toEqual({ data });
    }
  });
});

/** A view whose memory went elsewhere, as a WebAssembly memory's does when it grows. */
function detached<T extends ArrayBufferView>(view: T): T {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

describe("what looks like data and is none", () => {
  const free = vmstate({ name: "free", version: 1, fields: { data: customField(anyData()) as Field } });
  const rows = vmstate({ name: "rows", version: 1, fields: { words: array(u16, 2), safe: array(u64n, 2) } });
  const whole = { words: [1, 2], safe: [1, 2] };

  it("a view without its memory", () => {
    for (const view of [new Uint16Array(2), new Uint8Array(2), new Float64Array(2)]) {
      const gone = detached(view);
      expect(refusal(() => loose(rows, { ...whole, words: gone }))).toEqual(["BITS_RANGE", "words"]);
      expect(refusal(() => loose(rows, { ...whole, safe: gone }))).toEqual(["BITS_RANGE", "safe"]);
      expect(refusal(() => loose(free, { data: { deep: gone } }))).toEqual(["BITS_RANGE", "data.deep"]);
      expect(refusal(() => looseRestore(rows, { ...whole }, { ...whole, words: gone }))).toEqual([
        "BITS_RANGE",
        "words",
      ]);
    }
  });

  it("a DataView", () => {
    const view = new DataView(new ArrayBuffer(2));
    expect(refusal(() => loose(free, { data: [view] }))).toEqual(["BITS_RANGE", "data[0]"]);
    expect(refusal(() => loose(rows, { ...whole, words: view }))).toEqual(["BITS_RANGE", "words"]);
  });

  it("a function, of which the error says only that it is one", () => {
    const data = () => "its text is nobody's business";
    for (const description of [free, vmstate({ name: "one", version: 1, fields: { data: u8 } })]) {
      expect(() => loose(description, { data })).toThrow(expect.objectContaining({ found: "function" }));
    }
  });

  it("a name that would be the copy's prototype", () => {
    const data = JSON.parse('{"a":{"__proto__":{"b":1}}}') as unknown;
    expect(refusal(() => loose(free, { data }))).toEqual(["BITS_RANGE", "data.a.__proto__"]);
    expect(refusal(() => cloneValue(data))).toEqual(["BITS_RANGE", "a.__proto__"]);
  });

  it("an array-like whose length is none, or longer than what it has", () => {
    for (const length of [-1, 1.5, Number.NaN, 2 ** 32, "2", 2n]) {
      expect(refusal(() => loose(rows, { ...whole, safe: { length } }))).toEqual(["BITS_RANGE", "safe"]);
    }
    let reads = 0;
    const get = (_: object, key: string | symbol): unknown => {
      reads++;
      return key === "length" ? 5e7 : undefined;
    };
    expect(refusal(() => loose(rows, { ...whole, words: new Proxy({}, { get }) }))).toEqual([
      "FIELD_MISSING",
      "words[0]",
    ]);
    expect(reads).toBeLessThan(10);
  });

  it("is not an array-like that iterates in its own way: its indices count", () => {
    const ring = {
      length: 2,
      0: 7,
      1: 8,
      *[Symbol.iterator]() {
        yield 9;
      },
    };
    expect(loose(rows, { words: ring, safe: ring })).toEqual({ words: Uint16Array.of(7, 8), safe: [7, 8] });
  });

  it("is refused by cloneValue too, whole or with its path", () => {
    const view = new DataView(new ArrayBuffer(2));
    for (const odd of [new Map(), new Set(), new Date(0), new ArrayBuffer(1), /x/, view, detached(new Uint8Array(1))]) {
      expect(refusal(() => cloneValue(odd))).toEqual(["BITS_RANGE", undefined]);
      expect(refusal(() => cloneValue({ list: [{ odd }] }))).toEqual(["BITS_RANGE", "list[0].odd"]);
    }
    const loop: unknown[] = [];
    loop.push({ loop });
    expect(refusal(() => cloneValue(loop))).toEqual(["RECORD_CYCLE", "[0].loop"]);
    const inside = { f: () => 1 };
    expect(refusal(() => cloneValue(inside))).toEqual(["BITS_RANGE", "f"]);
    expect(cloneValue(inside.f)).toBe(inside.f);
    const data = { a: [1n, null, undefined, "x", { b: true }], bytes: Uint8Array.of(1, 2) };
    const copy = cloneValue(data);
    expect(copy).toStrictEqual(data);
    expect([copy.a === data.a, copy.bytes.buffer === data.bytes.buffer]).toEqual([false, false]);
    expect([1, 2].map(cloneValue)).toEqual([1, 2]);
  });
});
