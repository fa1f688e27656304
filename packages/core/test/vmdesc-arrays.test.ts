// Arrays of arrays in a vmdesc: one array in memory's order, as QEMU's 2D arrays are, so that readers who have nothing
// else find the section's end (wire reference 1.8, 2.3).
import { describe, expect, it } from "vitest";
import {
  array,
  createKernel,
  type Description,
  encodeState,
  i32,
  listState,
  type StateOf,
  struct,
  u8,
  u16,
  varray,
  virtualClock,
  vmstate,
  when,
} from "../src/index.ts";
import { findVmdesc, StreamReader, sectionBytes } from "../src/stream/index.ts";
import { Writer } from "../src/writer.ts";

const cell = vmstate({ name: "cell", version: 1, fields: { a: u8, b: when((r) => r["a"] > 1, u8, { absent: 0 }) } });
const pair = vmstate({ name: "pair", version: 1, fields: { x: u8 } });
const d = vmstate({
  name: "grids",
  version: 1,
  fields: {
    n: u8,
    ints: array(array(i32, 2), 3),
    deep: array(array(array(u16, 2), 2), 2),
    thin: array(array(u8, 1), 3),
    flat: array(array(u8, 3), 1),
    hollow: array(array(u8, 0), 3),
    counted: array(varray("n", u8), 2),
    structs: array(array(struct(pair), 2), 2),
    cells: array(array(struct(cell), 2), 2),
    sometimes: when(() => true, array(array(u8, 2), 2), { absent: [] as never }),
    after: u8,
  },
});
const state: StateOf<typeof d> = {
  n: 3,
  ints: [Int32Array.of(1, 2), Int32Array.of(3, 4), Int32Array.of(5, 6)],
  deep: [
    [Uint16Array.of(1, 2), Uint16Array.of(3, 4)],
    [Uint16Array.of(5, 6), Uint16Array.of(7, 8)],
  ],
  thin: [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)],
  flat: [Uint8Array.of(1, 2, 3)],
  hollow: [new Uint8Array(0), new Uint8Array(0), new Uint8Array(0)],
  counted: [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)],
  structs: [
    [{ x: 1 }, { x: 2 }],
    [{ x: 3 }, { x: 4 }],
  ],
  cells: [
    [
      { a: 1, b: 0 },
      { a: 2, b: 9 },
    ],
    [
      { a: 3, b: 9 },
      { a: 1, b: 0 },
    ],
  ],
  sometimes: [Uint8Array.of(1, 2), Uint8Array.of(3, 4)],
  after: 7,
};

describe.each(["7.2", "10.0"] as const)("the vmdesc of dialect %s", (dialect) => {
  const members = listState(new Writer(), d, state, dialect);
  const listed = (name: string) => members.fields.filter((field) => field.name === name);

  it("lists equal elements as one array, however they nest", () => {
    const lengths = ["ints", "deep", "thin", "flat", "hollow", "counted", "structs"].map((name) =>
      listed(name).map(({ array_len, index, size }) => [array_len, index, size]),
    );
    expect(lengths).toEqual([
      [[6, undefined, 4]],
      [[8, undefined, 2]],
      [[3, undefined, 1]],
      [[3, undefined, 1]],
      [],
      [[6, undefined, 1]],
      [[4, undefined, 1]],
    ]);
    expect(listed("ints")).toEqual([{ name: "ints", array_len: 6, type: "int32", size: 4 }]);
  });

  it("numbers the others through", () => {
    const last = dialect === "7.2" ? 3 : undefined;
    expect(listed("cells").map(({ index, size }) => [index, size])).toEqual([
      [0, 1],
      [1, 2],
      [2, 2],
      [last, 1],
    ]);
    expect(listed("sometimes").map(({ index }) => index)).toEqual([0, 1, 2, last]);
  });

  it("adds up to the bytes", () => {
    expect(sectionBytes({ name: "grids", instance_id: 0, ...members })).toBe(encodeState(d, state).length);
  });
});

it("a reader without descriptions finds the end", async () => {
  const kernel = createKernel({
    machineType: "grid",
    clock: virtualClock(() => 0n),
    machine: { pause() {}, resume() {}, reset() {} },
  });
  kernel.device(d as Description<typeof state>, { save: () => state, load() {} });
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk);
  const stream = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
  const reader = new StreamReader({ vmdesc: findVmdesc(stream)?.vmdesc, open: () => undefined });
  const sections = [...reader.push(stream), ...reader.end()].flatMap((event) =>
    event.type === "section" ? [[event.head.idstr, event.value]] : [],
  );
  expect(sections.find(([idstr]) => idstr === "grids")?.[1]).toEqual(encodeState(d, state));
});
