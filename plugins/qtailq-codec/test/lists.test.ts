import {
  Cursor,
  type Description,
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  i32,
  isMigrationError,
  listState,
  type MigrationError,
  recordDecoder,
  type StateOf,
  u8,
  u32,
  u64,
  vbuffer,
  vmstate,
  Writer,
} from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { gtree, qlist, qtailq } from "../src/index.ts";

const ccs = vmstate({
  name: "spaprconfigureconnectorstate",
  version: 1,
  fields: { drc_index: u32, fdt_offset: i32, fdt_depth: i32 },
});
const list = vmstate({ name: "list", version: 1, fields: { before: u8, ccs_list: qtailq(ccs), after: u8 } });
const element = (n: number) => ({ drc_index: n, fdt_offset: -n, fdt_depth: n % 7 });
const two: StateOf<typeof list> = { before: 9, ccs_list: [element(1), element(2)], after: 5 };

function errorOf(work: () => unknown): MigrationError {
  try {
    work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("no error");
}

/** Fed in chunks, with the footer behind it that tells where it ends. */
function decodeInChunks(description: Description, bytes: Uint8Array, chunk: number) {
  const decoder = recordDecoder(description, description.version);
  const cursor = new Cursor();
  const all = Uint8Array.from([...bytes, 0x7e]);
  for (let at = 0; at < all.length; at += chunk) {
    cursor.append(all.subarray(at, at + chunk));
    if (decoder.resume(cursor)) return { record: decoder.value(), fields: cursor.fields };
    cursor.release();
  }
  throw new Error("not complete");
}

describe("a QTAILQ", () => {
  it("has 0x01 before each element and 0x00 at its end", () => {
    const bytes = encodeState(list, two);
    expect([...bytes]).toEqual([
      9, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 2, 0, 5,
    ]);
    expect(decodeState(list, bytes)).toEqual(two);
    expect([...encodeState(list, { ...two, ccs_list: [] })]).toEqual([9, 0, 5]);
  });

  it("is a QLIST with another name", () => {
    const other = vmstate({ name: "list", version: 1, fields: { before: u8, ccs_list: qlist(ccs), after: u8 } });
    expect(encodeState(other, two)).toEqual(encodeState(list, two));
    const fieldOf = (of: Description) => listState(new Writer(), of, two, "7.2").fields[1];
    expect(fieldOf(list)).toMatchObject({
      name: "ccs_list",
      type: "qtailq",
      vmsd_name: ccs.name,
      version: 1,
      size: 27,
    });
    expect(fieldOf(other)).toMatchObject({ type: "qlist" });
    const ccsList = qtailq(ccs, { dialect: "proposal" });
    const proposal = vmstate({ name: "list", version: 1, fields: { before: u8, ccs_list: ccsList, after: u8 } });
    expect(fieldOf(proposal)).toMatchObject({ type: "customized" });
    expect(encodeState(proposal, two)).toEqual(encodeState(list, two));
  });

  it("tells a wrong marker, a cut and a wrong element by path and byte", () => {
    const bytes = encodeState(list, two);
    const marker = errorOf(() => decodeRecord(list, bytes.with(14, 7)));
    expect([marker.code, marker.location.path, marker.location.offset]).toEqual(["FIELD_CUSTOM", "ccs_list[1]", 14]);
    const cut = errorOf(() => decodeRecord(list, bytes.subarray(0, 21)));
    expect([cut.code, cut.location.path, cut.location.offset]).toEqual([
      "STREAM_TRUNCATED",
      "ccs_list[1].fdt_offset",
      19,
    ]);
    const wrong = errorOf(() =>
      encodeState(list, { ...two, ccs_list: [element(1), { ...element(2), fdt_depth: 2 ** 40 }] }),
    );
    expect([wrong.code, wrong.location.path]).toEqual(["BITS_RANGE", "ccs_list[1].fdt_depth"]);
  });

  it("holds 100,000 elements in linear work, for every chunking", () => {
    const many = { before: 1, ccs_list: Array.from({ length: 100_000 }, (_, n) => element(n)), after: 2 };
    const bytes = encodeState(list, many);
    expect(bytes.length).toBe(2 + 100_000 * 13 + 1);
    const fields = [bytes.length + 1, 4096, 61].map((chunk) => {
      const { record, fields: count } = decodeInChunks(list, bytes, chunk);
      expect((record["ccs_list"] as unknown[]).length).toBe(100_000);
      return count;
    });
    expect(Math.max(...fields)).toBeLessThanOrEqual(2 * Math.min(...fields));
    expect(decodeState(list, bytes).ccs_list[99_999]).toEqual(element(99_999));
  });
});

describe("a GTree", () => {
  const mapping = vmstate({ name: "mapping", version: 1, fields: { phys: u64, flags: u32 } });
  const interval = vmstate({ name: "interval", version: 1, fields: { low: u64, high: u64 } });
  const direct = vmstate({ name: "tree", version: 1, fields: { nodes: gtree({ key: "direct", value: mapping }) } });
  const node = (key: bigint) => ({ key, value: { phys: key << 12n, flags: 1 } });

  it("counts its nodes, puts the key first, and keeps the order of keys", () => {
    const state = { nodes: [node(3n), node(8n)] };
    const bytes = encodeState(direct, state);
    expect([...bytes.subarray(0, 14)]).toEqual([0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
    expect(bytes.length).toBe(4 + 2 * (1 + 8 + 12) + 1);
    expect(decodeState(direct, bytes)).toEqual(state);
  });

  it("has described keys, with an order of their own", () => {
    const order = (a: { low: bigint }, b: { low: bigint }) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0);
    const tree = vmstate({
      name: "tree",
      version: 1,
      fields: { nodes: gtree({ key: interval, value: mapping, order }) },
    });
    const state = { nodes: [1n, 5n].map((low) => ({ key: { low, high: low + 3n }, value: { phys: low, flags: 0 } })) };
    expect(decodeState(tree, encodeState(tree, state))).toEqual(state);
    const error = errorOf(() => encodeState(tree, { nodes: state.nodes.toReversed() }));
    expect([error.code, error.location.path]).toEqual(["FIELD_CUSTOM", "nodes[1].key"]);
  });

  it("refuses a count that is not the number of its nodes, either way", () => {
    const bytes = encodeState(direct, { nodes: [node(3n), node(8n)] });
    for (const [count, path, found] of [
      [1, "nodes[1]", "more than 1"],
      [3, "nodes[2]", "2"],
    ] as const) {
      const error = errorOf(() => decodeRecord(direct, bytes.with(3, count)));
      expect([error.code, error.location.path, error.expected, error.found]).toEqual([
        "FIELD_CUSTOM",
        path,
        String(count),
        found,
      ]);
      expect(error.detail).toContain("inconsistent");
    }
    const twice = errorOf(() => decodeRecord(direct, bytes.with(4 + 21 + 8, 3)));
    expect([twice.code, twice.location.path]).toEqual(["FIELD_CUSTOM", "nodes[1].key"]);
  });
});

describe.skipIf(!haveStreams())("the pending events of a real pseries guest", () => {
  const events = vmstate({
    name: "spapr_pending_events",
    version: 1,
    fields: {
      pending_events: qtailq(
        vmstate({
          name: "spapr_event_log_entry",
          version: 1,
          fields: { summary: u32, extended_length: u32, extended_log: vbuffer("extended_length") },
        }),
      ),
    },
  });

  it.each([
    ["pseries-hotplug-net-7.2.stream", 1],
    ["pseries-hotplug-net-cpu-dimm-7.2.stream", 3],
  ])("%s: %i events, and the same bytes again", (file, count) => {
    const stream = readStream(file);
    const name = Buffer.from("spapr_pending_events");
    const from = Buffer.from(stream).indexOf(Buffer.from([5, name.length, ...name])) + 2 + name.length + 4;
    const decoder = recordDecoder(events, 1);
    const cursor = new Cursor(stream.slice(from, from + 64 * 1024));
    expect(decoder.resume(cursor)).toBe(true);
    const record = decoder.value();
    const pending = record["pending_events"] as {
      summary: number;
      extended_length: number;
      extended_log: Uint8Array;
    }[];
    expect(pending.length).toBe(count);
    for (const event of pending) expect(event.extended_log.length).toBe(event.extended_length);
    expect(encodeRecord(events, record)).toEqual(stream.slice(from, from + cursor.pos));
  });
});
