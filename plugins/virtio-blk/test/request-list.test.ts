// The requests in flight, byte by byte (wire reference 13.6, 13.8).
import { decodeRecord, decodeState, encodeRecord, encodeState, isMigrationError, vmstate } from "@godwit/core";
import { elementBlobBytes } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { type CarriedRequest, type RequestListParameters, requestList } from "../src/request-list.ts";

const list = (parameters: RequestListParameters) =>
  vmstate({ name: "list", version: 1, fields: { requests: requestList(parameters) } });
const one = { queues: 1, packed: false };

const request: CarriedRequest = {
  queue: 0,
  element: {
    index: 0x1234,
    out: [{ address: 0x0011_2233_4455, length: 16 }],
    in: [
      { address: 0x1000, length: 0x200 },
      { address: 0xffff_f000, length: 1 },
    ],
  },
};

function codeOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return isMigrationError(error) ? [error.code, error.location.path] : error;
  }
  return undefined;
}

describe("a request in flight", () => {
  it("is a 1 and 49,168 bytes of a little-endian host, and a 0 ends the list", () => {
    expect(elementBlobBytes).toBe(49168);
    const bytes = encodeState(list(one), { requests: [request] });
    expect(bytes).toHaveLength(1 + 49168 + 1);
    expect([bytes[0], bytes[49169]]).toEqual([1, 0]);
    const blob = new DataView(bytes.buffer, bytes.byteOffset + 1, 49168);
    expect([0, 4, 8, 12].map((at) => blob.getUint32(at, true))).toEqual([0x1234, 1, 2, 0]);
    expect([16, 24, 32].map((at) => blob.getBigUint64(at, true))).toEqual([0x1000n, 0xffff_f000n, 0n]);
    expect(blob.getBigUint64(16 + 8192, true)).toBe(0x0011_2233_4455n);
    const inSg = 16 + 2 * 8192;
    expect([0, 8, 16, 24].map((at) => blob.getBigUint64(inSg + at, true))).toEqual([0n, 0x200n, 0n, 1n]);
    const outSg = inSg + 16384;
    expect([0, 8, 16].map((at) => blob.getBigUint64(outSg + at, true))).toEqual([0n, 16n, 0n]);
    expect(decodeState(list(one), bytes)).toEqual({ requests: [request] });
  });

  it("has its queue where the device has several, and a count of descriptors with packed rings", () => {
    const several = { ...request, queue: 2 };
    const bytes = encodeState(list({ queues: 3, packed: false }), { requests: [several, several] });
    expect(bytes).toHaveLength(2 * (1 + 4 + 49168) + 1);
    expect([...bytes.subarray(0, 5)]).toEqual([1, 0, 0, 0, 2]);
    expect(decodeState(list({ queues: 3, packed: false }), bytes)).toEqual({ requests: [several, several] });
    expect(codeOf(() => decodeRecord(list({ queues: 2, packed: false }), bytes))).toEqual([
      "FIELD_CHECK",
      "requests[0].queue",
    ]);
    const packed = { ...several, element: { ...several.element, ndescs: 3 } };
    const withCounts = encodeState(list({ queues: 3, packed: true }), { requests: [packed] });
    expect([...withCounts.subarray(0, 9)]).toEqual([1, 0, 0, 0, 2, 0, 0, 0, 3]);
    expect(decodeState(list({ queues: 3, packed: true }), withCounts)).toEqual({ requests: [packed] });
  });

  it("keeps in the record what a host left in entries that are not in use", () => {
    const bytes = encodeState(list(one), { requests: [request] });
    bytes.fill(0xa5, 1 + 16 + 8 * 100, 1 + 16 + 8 * 200);
    const record = decodeRecord(list(one), bytes);
    expect(encodeRecord(list(one), record)).toEqual(bytes);
    expect(decodeState(list(one), bytes)).toEqual({ requests: [request] });
  });

  it("is refused with too many segments, an address beyond 2^53, or a marker that is none", () => {
    const good = encodeState(list(one), { requests: [request] });
    const decode = (change: (view: DataView) => void) => () => {
      const bytes = good.slice();
      change(new DataView(bytes.buffer));
      return decodeState(list(one), bytes);
    };
    expect(codeOf(decode((view) => view.setUint32(1 + 4, 1025, true)))).toEqual([
      "FIELD_CHECK",
      "requests[0].element.blob",
    ]);
    expect(codeOf(decode((view) => view.setUint32(1 + 8, 0xffff_ffff, true)))).toEqual([
      "FIELD_CHECK",
      "requests[0].element.blob",
    ]);
    expect(codeOf(decode((view) => view.setUint8(0, 2)))).toEqual(["FIELD_CHECK", "requests[0]"]);
    expect(codeOf(decode((view) => view.setBigUint64(1 + 16, 1n << 60n, true)))).toEqual([
      "FIELD_CHECK",
      "requests[0].element.blob",
    ]);
    expect(codeOf(() => decodeRecord(list(one), good.subarray(0, 20_000)))).toEqual([
      "STREAM_TRUNCATED",
      "requests[0].element.blob",
    ]);
  });
});
