// The corners of lists and trees: versions, dialects, cuts and forks at every byte, wrong values, and what a vmdesc shows.
import {
  array,
  bool,
  Cursor,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
  listState,
  recordDecoder,
  since,
  struct,
  subsection,
  u8,
  u16,
  u32,
  u64,
  vmstate,
  Writer,
} from "@godwit/core";
import { describe, expect, it } from "vitest";
import { gtree, qlist, qtailq } from "../src/index.ts";

function refusal(run: () => unknown): unknown[] {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return [error.code, error.location.path, error.location.offset];
    throw error;
  }
  throw new Error("nothing was thrown");
}

const of = (fields: Parameters<typeof vmstate>[0]["fields"]): Description =>
  vmstate({ name: "holder", version: 1, fields });
const grown = vmstate({
  name: "grown",
  version: 3,
  minimumVersion: 1,
  fields: { x: u8, y: since(2, u8, { absent: 0 }) },
});

describe("the version that an element is read in", () => {
  it("is its own, in both dialects, unless the field names one", () => {
    const bytes = Uint8Array.of(1, 7, 8, 0);
    for (const field of [
      qtailq(grown),
      qlist(grown),
      qtailq(grown, { dialect: "proposal" }),
      qtailq(grown, { version: 2 }),
    ]) {
      const list = vmstate({ name: "list", version: 1, fields: { all: field } });
      expect(decodeState(list, bytes)).toEqual({ all: [{ x: 7, y: 8 }] });
      expect(encodeState(list, { all: [{ x: 7, y: 8 }] })).toEqual(bytes);
      expect(encodeRecord(list, decodeRecord(list, bytes))).toEqual(bytes);
    }
  });

  it("may be no version in which less would be read than is written, or that does not exist", () => {
    for (const version of [0, 1, 4]) {
      expect(refusal(() => qtailq(grown, { version }))[0]).toBe("DEFINITION_INVALID");
    }
    expect(refusal(() => qtailq(grown, { dialect: "proposal", version: 2 }))[0]).toBe("DEFINITION_INVALID");
  });
});

describe("elements of any field", () => {
  it("are integers, arrays and lists as well as descriptions", () => {
    const list = vmstate({
      name: "list",
      version: 1,
      fields: { words: qtailq(u16), flags: qlist(bool), rows: qtailq(array(u8, 2)), deep: qtailq(qlist(qtailq(u8))) },
    });
    const state = {
      words: [1, 65_535],
      flags: [true, false],
      rows: [Uint8Array.of(1, 2)],
      deep: [[[1, 2], []], [], [[3]]],
    };
    const bytes = encodeState(list, state).slice();
    expect([...bytes.subarray(0, 7)]).toEqual([1, 0, 1, 1, 0xff, 0xff, 0]);
    expect(decodeState(list, bytes)).toEqual(state);
    const odd = bytes.with(8, 9);
    expect(encodeRecord(list, decodeRecord(list, odd))).toEqual(odd);
    expect(decodeState(list, odd)).toEqual(state);
  });

  it("have subsections, and an end that is no subsection's", () => {
    const element = vmstate({
      name: "el",
      version: 1,
      fields: { x: u8 },
      subsections: {
        more: subsection({
          name: "el/more",
          version: 1,
          fields: { y: u8 },
          needed: (s) => s.y !== 0,
          absent: { y: 0 },
        }),
      },
    });
    const list = vmstate({ name: "list", version: 1, fields: { all: qtailq(element), end: u8 } });
    const state = { all: [0, 5, 0].map((y) => ({ x: 5, more: { y } })), end: 5 };
    const bytes = encodeState(list, state).slice();
    expect(bytes.length).toBe(3 * 2 + (1 + 1 + 7 + 4 + 1) + 1 + 1);
    expect(decodeState(list, bytes)).toEqual(state);
    const { fields } = listState(new Writer(), list, state, "10.0");
    // A reader of QEMU's repeated keys keeps the last of each.
    expect(fields[0]).toMatchObject({ subsections: [{ vmsd_name: "el/more", version: 1 }], size: 21 });
  });
});

const nested = vmstate({
  name: "nested",
  version: 1,
  fields: {
    lists: qtailq(vmstate({ name: "inner", version: 1, fields: { id: u16, tail: qlist(grown) } })),
    tree: gtree({
      key: "direct",
      value: vmstate({ name: "value", version: 1, fields: { on: bool, list: qtailq(u8) } }),
    }),
    end: u8,
  },
});
const state = {
  lists: [
    { id: 1, tail: [{ x: 1, y: 2 }] },
    { id: 5, tail: [] },
    { id: 0x0105, tail: [1, 5, 0].map((x) => ({ x, y: 5 })) },
  ],
  tree: [
    { key: 1n, value: { on: true, list: [1, 0, 5] } },
    { key: 2n ** 64n - 1n, value: { on: false, list: [] } },
  ],
  end: 5,
};
const bytes = encodeState(nested, state).slice();

describe("lists in lists and trees", () => {
  it("are cut and forked at every byte", () => {
    const whole = decodeRecord(nested, bytes);
    expect(decodeState(nested, bytes)).toEqual(state);
    const all = Uint8Array.of(...bytes, 0x7e);
    const decoder = recordDecoder(nested, 1);
    const cursor = new Cursor();
    for (let at = 0; at < all.length; at++) {
      const fork = { decoder: decoder.fork(), cursor: cursor.fork() };
      fork.cursor.append(all.slice(at));
      expect(fork.decoder.resume(fork.cursor)).toBe(true);
      expect(fork.decoder.value()).toEqual(whole);
      if (at < bytes.length) {
        const [code, path] = refusal(() => decodeRecord(nested, bytes.slice(0, at)));
        expect(code).toBe("STREAM_TRUNCATED");
        expect(path).toMatch(/^(lists|tree|end)/);
      }
      cursor.append(all.slice(at, at + 1));
      expect(decoder.resume(cursor)).toBe(at === bytes.length);
      cursor.release();
    }
    expect(decoder.value()).toEqual(whole);
  });

  it("name the very element that is wrong", () => {
    const marker = bytes.indexOf(1, 3);
    expect(refusal(() => decodeRecord(nested, bytes.with(marker, 9), { offset: 40 }))).toEqual([
      "FIELD_CUSTOM",
      "lists[0].tail[0]",
      40 + marker,
    ]);
    const wrong = {
      ...state,
      lists: [
        state.lists[0],
        {
          id: 1,
          tail: [
            { x: 1, y: 1 },
            { x: 300, y: 1 },
          ],
        },
      ],
    };
    expect(refusal(() => encodeState(nested, wrong as never))).toEqual(["BITS_RANGE", "lists[1].tail[1].x", undefined]);
    const inTree = { ...state, tree: [{ key: 1n, value: { on: true, list: [1, -1] } }] };
    expect(refusal(() => encodeState(nested, inTree))).toEqual(["BITS_RANGE", "tree[0].value.list[1]", undefined]);
  });

  it.each([
    ["no array for a list", { ...state, lists: 5 }, "FIELD_CUSTOM", "lists"],
    ["null for a tree", { ...state, tree: null }, "FIELD_CUSTOM", "tree"],
    ["a node that is none", { ...state, tree: [null] }, "FIELD_CUSTOM", "tree[0]"],
    ["a key twice", { ...state, tree: [state.tree[0], state.tree[0]] }, "FIELD_CUSTOM", "tree[1].key"],
    ["a key that is no integer", { ...state, tree: [{ ...state.tree[0], key: 1 }] }, "BITS_RANGE", "tree[0].key"],
    ["an element that is none", { ...state, lists: [undefined] }, "FIELD_MISSING", "lists[0]"],
  ])("refuse %s", (_, wrong, code, path) => {
    expect(refusal(() => encodeState(nested, wrong as never))).toEqual([code, path, undefined]);
  });
});

describe("a list that is read often", () => {
  it("is refused as at first", () => {
    const pair = vmstate({ name: "pair", version: 1, fields: { a: u32, b: u64 } });
    const list = of({ all: qtailq(pair), end: u8 });
    const good = encodeState(list, { all: [1, 2, 3].map((a) => ({ a, b: BigInt(a) })), end: 5 }).slice();
    const look = (): unknown => [
      decodeRecord(list, good),
      refusal(() => decodeRecord(list, good.with(13, 2))),
      refusal(() => decodeRecord(list, good.slice(0, 30))),
      refusal(() =>
        encodeState(list, {
          all: [
            { a: 1, b: 1n },
            { a: 1, b: -1n },
          ],
          end: 0,
        } as never),
      ),
      refusal(() => encodeState(list, { all: [{ a: 1, b: 1n }, null], end: 0 } as never)),
    ];
    const first = look();
    for (let i = 0; i < 100; i++) encodeState(list, decodeState(list, good) as never);
    expect(look()).toEqual(first);
    expect(first).toMatchObject({ 1: ["FIELD_CUSTOM", "all[1]", 13], 2: ["STREAM_TRUNCATED", "all[2].a", 27] });
  });
});

describe("the vmdesc of a tree", () => {
  it("shows its values' members, and its size", () => {
    const key = vmstate({ name: "key", version: 2, fields: { low: u8 } });
    const value = vmstate({ name: "value", version: 3, fields: { one: struct(grown) } });
    const order = (a: { low: number }, b: { low: number }): number => a.low - b.low;
    const tree = vmstate({ name: "tree", version: 1, fields: { nodes: gtree({ key, value, order }) } });
    const of = { nodes: [1, 2].map((low) => ({ key: { low }, value: { one: { x: low, y: 0 } } })) };
    const out = new Writer();
    const { fields } = listState(out, tree, of, "7.2");
    expect(out.written()).toEqual(encodeState(tree, of));
    expect(fields).toMatchObject([
      { name: "nodes", type: "gtree", vmsd_name: "value", version: 3, size: 4 + 2 * (1 + 1 + 2) + 1 },
    ]);
    expect(fields[0]?.fields).toMatchObject([{ name: "one", type: "struct", size: 2 }]);
    expect(listState(new Writer(), tree, { nodes: [] }, "7.2").fields).toEqual([
      { name: "nodes", type: "gtree", size: 5 },
    ]);
  });
});
