// Decode and encode of a QTAILQ of 1,000 elements, beside hand-written DataView code that makes the same objects, and
// binary-parser, which only decodes.
import { decodeRecord, decodeState, encodeRecord, encodeState, i32, sameValue, u32, vmstate } from "@godwit/core";
import { accelerate } from "@godwit/core/jit";
import { Parser } from "binary-parser";
import { measure } from "mitata";
import { qtailq } from "../src/index.ts";

const element = vmstate({
  name: "spaprconfigureconnectorstate",
  version: 1,
  fields: { drc_index: u32, fdt_offset: i32, fdt_depth: i32 },
});
const list = vmstate({ name: "spaprccslist", version: 1, fields: { ccs_list: qtailq(element) } });

interface Element {
  drc_index: number;
  fdt_offset: number;
  fdt_depth: number;
}
const state = {
  ccs_list: Array.from({ length: 1000 }, (_, n): Element => ({ drc_index: n, fdt_offset: 7 * n, fdt_depth: n % 5 })),
};

function decodeByHand(bytes: Uint8Array): { ccs_list: Element[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ccs_list: Element[] = [];
  let at = 0;
  for (; view.getUint8(at) === 1; at += 13) {
    ccs_list.push({
      drc_index: view.getUint32(at + 1),
      fdt_offset: view.getInt32(at + 5),
      fdt_depth: view.getInt32(at + 9),
    });
  }
  if (view.getUint8(at) !== 0 || at + 1 !== bytes.length) throw new Error("not a list");
  return { ccs_list };
}

function encodeByHand({ ccs_list }: { ccs_list: readonly Element[] }): Uint8Array {
  const bytes = new Uint8Array(13 * ccs_list.length + 1);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { drc_index, fdt_offset, fdt_depth } of ccs_list) {
    view.setUint8(at, 1);
    view.setUint32(at + 1, drc_index);
    view.setInt32(at + 5, fdt_offset);
    view.setInt32(at + 9, fdt_depth);
    at += 13;
  }
  return bytes;
}

// The markers are part of what it reads: it has no list that ends with one.
const parser = new Parser().endianness("big").array("ccs_list", {
  type: new Parser().endianness("big").uint8("marker").uint32("drc_index").int32("fdt_offset").int32("fdt_depth"),
  length: 1000,
});

/** Median, in microseconds. */
async function median(run: () => unknown): Promise<number> {
  const { p50 } = await measure(run, { min_cpu_time: 400e6, min_samples: 20 });
  return p50 / 1000;
}

export default async function listBenchmark(): Promise<void> {
  accelerate();
  const bytes = encodeState(list, state).slice();
  const record = decodeRecord(list, bytes);
  if (!sameValue(decodeByHand(bytes), decodeState(list, bytes)) || !sameValue(encodeByHand(state), bytes)) {
    throw new Error("the hand-written code does something else");
  }
  const buffer = Buffer.from(bytes);
  const decodedByHand = await median(() => decodeByHand(bytes));
  const decodedByParser = await median(() => parser.parse(buffer));
  const encodedByHand = await median(() => encodeByHand(state));
  const decoded = (what: string, us: number) => ({
    what: `decode 1,000 elements: ${what}`,
    "median, us": us.toFixed(2),
    "of hand-written": (us / decodedByHand).toFixed(2),
    "of binary-parser": (us / decodedByParser).toFixed(2),
  });
  const encoded = (what: string, us: number) => ({
    what: `encode 1,000 elements: ${what}`,
    "median, us": us.toFixed(2),
    "of hand-written": (us / encodedByHand).toFixed(2),
    "of binary-parser": "",
  });
  console.table([
    decoded("to the state", await median(() => decodeState(list, bytes))),
    decoded("to the record", await median(() => decodeRecord(list, bytes))),
    decoded("by hand", decodedByHand),
    decoded("binary-parser", decodedByParser),
    encoded("the state", await median(() => encodeState(list, state))),
    encoded("the record", await median(() => encodeRecord(list, record))),
    encoded("by hand", encodedByHand),
  ]);
}
