// Lists in the elements of lists of the same kind: trees of any shape, and no deeper than their bound.
import {
  Cursor,
  capture,
  createKernel,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
  listState,
  recordDecoder,
  subsection,
  u8,
  u16,
  virtualClock,
  vmstate,
  Writer,
} from "@godwit/core";
import { describe, expect, it } from "vitest";
import { qlist, qtailq } from "../src/index.ts";

interface Bus {
  id: number;
  children: Bus[];
  late: { speed: number };
}
const late = subsection({
  name: "bus/late",
  version: 1,
  fields: { speed: u8 },
  needed: ({ speed }) => speed !== 0,
  absent: { speed: 0 },
});
const bus: Description<Bus> = vmstate({
  name: "bus",
  version: 1,
  fields: { id: u16, children: qtailq<Bus>(() => bus) },
  subsections: { late },
});
const node = (id: number, ...children: Bus[]): Bus => ({ id, children, late: { speed: 0 } });
const chain = (depth: number): Bus => {
  let at = node(depth);
  for (let id = depth - 1; id > 0; id--) at = node(id, at);
  return at;
};

function refusal(run: () => unknown): unknown[] {
  try {
    run();
  } catch (error) {
    if (isMigrationError(error)) return [error.code, error.location.path?.length, error.location.offset];
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a list that holds its own kind", () => {
  const tree = { ...node(1, node(2, node(3), node(4)), node(5)), late: { speed: 7 } };
  const bytes = encodeState(bus, tree).slice();

  it("has the bytes of lists in lists", () => {
    expect([...bytes]).toEqual([
      ...[0, 1, 1, 0, 2, 1, 0, 3, 0, 1, 0, 4, 0, 0, 1, 0, 5, 0, 0],
      ...[5, 8, ...Buffer.from("bus/late"), 0, 0, 0, 1, 7],
    ]);
    expect(decodeState(bus, bytes)).toEqual(tree);
    expect(capture(bus, tree)).toEqual(tree);
    expect(encodeRecord(bus, decodeRecord(bus, bytes))).toEqual(bytes);
    const old: Description<Bus> = vmstate({
      name: "bus",
      version: 1,
      fields: { id: u16, children: qlist<Bus>(() => old, { dialect: "proposal" }) },
      subsections: { late },
    });
    expect(encodeState(old, tree)).toEqual(bytes);
    const typeOf = (of: Description) => listState(new Writer(), of, tree, "7.2").fields[1]?.type;
    expect([typeOf(bus), typeOf(old)]).toEqual(["qtailq", "customized"]);
  });

  it("is as deep as its bound, and not deeper: what a hostile stream asks for is refused, whole or in chunks", () => {
    expect(decodeState(bus, encodeState(bus, chain(64)))).toEqual(chain(64));
    expect(refusal(() => encodeState(bus, chain(65)))).toEqual([
      "FIELD_CUSTOM",
      "children[0].".length * 64 + 8,
      undefined,
    ]);
    const hostile = new Uint8Array(300_000).fill(1);
    expect(refusal(() => decodeRecord(bus, hostile))).toEqual(["FIELD_CUSTOM", expect.any(Number), expect.any(Number)]);
    const decoder = recordDecoder(bus, 1);
    const cursor = new Cursor();
    let fed = 0;
    expect(
      refusal(() => {
        for (; fed < hostile.length; fed++) {
          cursor.append(hostile.slice(fed, fed + 1));
          decoder.resume(cursor);
          cursor.release();
        }
      })[0],
    ).toBe("FIELD_CUSTOM");
    expect(fed).toBeLessThan(64 * 3 + 3);
    const shallow: Description<{ id: number; all: unknown[] }> = vmstate({
      name: "shallow",
      version: 1,
      fields: { id: u8, all: qtailq<never>(() => shallow as never, { maxDepth: 2 }) },
    });
    const two = Uint8Array.of(1, 1, 2, 0, 0);
    expect(decodeState(shallow, two)).toEqual({ id: 1, all: [{ id: 2, all: [] }] });
    expect(refusal(() => decodeState(shallow, Uint8Array.of(1, 1, 2, 1, 3, 0, 0, 0)))[0]).toBe("FIELD_CUSTOM");
  });

  it("is wide without a bound: 100,000 elements in linear work", () => {
    const fields = [1000, 100_000].map((count) => {
      const wide = encodeState(bus, node(1, node(2, ...Array.from({ length: count }, () => node(3))))).slice();
      const decoder = recordDecoder(bus, 1);
      const cursor = new Cursor();
      for (let at = 0; at < wide.length; at += 4096) {
        cursor.append(wide.subarray(at, at + 4096));
        decoder.resume(cursor);
        cursor.release();
      }
      cursor.append(Uint8Array.of(0x7e));
      expect(decoder.resume(cursor)).toBe(true);
      return cursor.fields;
    });
    expect(fields[1] as number).toBeLessThanOrEqual(101 * (fields[0] as number));
  });

  it("tells its subsections to a manifest, once", () => {
    const kernel = createKernel({
      machineType: "t",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    const machine = vmstate({ name: "machine", version: 1, fields: { buses: qtailq<Bus>(() => bus) } });
    kernel.device(machine, { save: () => ({ buses: [node(1)] }), load() {} });
    expect(kernel.manifest().sections.find(({ idstr }) => idstr === "machine")?.subsections).toEqual(["bus/late"]);
  });
});
