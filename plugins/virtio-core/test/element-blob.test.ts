// Requests in flight as QEMU writes them: the places of every number, and what a blob may not say.
import { decodeState, encodeState, MigrationError, vmstate } from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { elementBlob, elementBlobBytes, packedElementBlob, type VirtqueueElement } from "../src/index.ts";

const split = vmstate({ name: "one", version: 1, fields: { element: elementBlob } });
const packed = vmstate({ name: "one", version: 1, fields: { element: packedElementBlob } });

const element: VirtqueueElement = {
  index: 0x0102,
  out: [{ address: 0x1122334455, length: 0x10 }],
  in: [
    { address: 0xa000, length: 0x200 },
    { address: 0xb000, length: 1 },
  ],
};

describe("a VirtQueueElement of 64-bit little-endian hosts", () => {
  const bytes = encodeState(split, { element });

  it("has every number in its place", () => {
    expect([bytes.length, elementBlobBytes]).toEqual([49168, 49168]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    expect([view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)]).toEqual([0x0102, 1, 2]);
    const u64 = (at: number) => Number(view.getBigUint64(at, true));
    const [outAt, inSg, outSg] = [16 + 8192, 16 + 16384, 16 + 32768];
    expect([u64(16), u64(24), u64(outAt)]).toEqual([0xa000, 0xb000, 0x1122334455]);
    expect([u64(inSg + 8), u64(inSg + 24), u64(outSg + 8)]).toEqual([0x200, 1, 0x10]);
    const written = [
      0,
      1,
      4,
      8,
      17,
      25,
      outAt,
      outAt + 1,
      outAt + 2,
      outAt + 3,
      outAt + 4,
      inSg + 9,
      inSg + 24,
      outSg + 8,
    ];
    expect(Array.from(bytes.keys()).filter((at) => bytes[at] !== 0)).toEqual(written);
  });

  it("comes back", () => {
    expect(decodeState(split, bytes)).toEqual({ element });
    const segment = fc.record({ address: fc.maxSafeNat(), length: fc.nat(0xffffffff) });
    const any = fc.record({ index: fc.nat(0xffff), out: fc.array(segment), in: fc.array(segment) });
    fc.assert(
      fc.property(any, (one) => {
        expect(decodeState(split, encodeState(split, { element: one }))).toEqual({ element: one });
      }),
      { seed: 13, numRuns: 30 },
    );
  });

  it.each([
    ["1,025 segments", 4, 1025],
    ["an address from 2^53 on", 16 + 8192 + 4, 0x20_0000],
    ["a length from 2^53 on", 16 + 32768 + 12, 0x20_0000],
  ])("with %s is refused", (_what, at, value) => {
    const broken = bytes.slice();
    new DataView(broken.buffer).setUint32(at, value, true);
    expect(() => decodeState(split, broken)).toThrow(expect.objectContaining({ code: "FIELD_CHECK" }));
  });

  it("of more segments than it has room for is not written", () => {
    const many = { ...element, in: new Array(1025).fill({ address: 0, length: 1 }) };
    expect(() => encodeState(split, { element: many })).toThrow(MigrationError);
    expect(() => encodeState(split, { element: many })).toThrow(expect.objectContaining({ code: "COUNT_BOUND" }));
  });
});

describe("where packed rings are offered", () => {
  it("a count of slots stands before the blob, as QEMU saves it", () => {
    const bytes = encodeState(packed, { element: { ...element, ndescs: 3 } });
    expect(bytes.length).toBe(49172);
    expect(Array.from(bytes.subarray(0, 8))).toEqual([0, 0, 0, 3, 2, 1, 0, 0]);
    expect(bytes.subarray(4)).toEqual(encodeState(split, { element }));
    expect(decodeState(packed, bytes)).toEqual({ element: { ...element, ndescs: 3 } });
  });

  it("QEMU 7.2 has written a request of SeaBIOS like this, over a split ring: one read, whose disk had failed", () => {
    const bytes = new Uint8Array(4 + elementBlobBytes);
    const view = new DataView(bytes.buffer);
    bytes.set([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    const [inAt, outAt, inSg, outSg] = [4 + 16, 4 + 16 + 8192, 4 + 16 + 16384, 4 + 16 + 32768];
    view.setUint32(inAt, 0x15a00, true);
    view.setUint32(inAt + 8, 0xe9417, true);
    view.setUint32(outAt, 0xe9418, true);
    view.setUint32(inSg + 8, 512, true);
    view.setUint32(inSg + 24, 1, true);
    view.setUint32(outSg + 8, 16, true);
    const read = {
      index: 0,
      out: [{ address: 0xe9418, length: 16 }],
      in: [
        { address: 0x15a00, length: 512 },
        { address: 0xe9417, length: 1 },
      ],
    };
    expect(decodeState(packed, bytes)).toEqual({ element: { ...read, ndescs: 1 } });
    // An element of a split ring has no count of its own.
    expect(encodeState(packed, { element: read })).toEqual(bytes);
  });

  it("a count that nobody gave is 1", () => {
    expect(encodeState(packed, { element })[3]).toBe(1);
  });
});
