// A request in flight as QEMU writes it: a VirtQueueElement as it lies in the memory of a 64-bit little-endian host
// (wire reference 13.6). 49,168 bytes: u32 index, out_num, in_num, 4 bytes of padding; u64 in_addr[1024],
// out_addr[1024]; {u64 base, u64 length} in_sg[1024], out_sg[1024].
import { buffer, checked, type Field, MigrationError, struct, tmp, u32, vmstate } from "@godwit/core";
import { maxChain } from "./constants.ts";
import type { Segment, VirtqueueElement } from "./element.ts";

const inAddressAt = 16;
const outAddressAt = inAddressAt + 8 * maxChain;
const inSegmentAt = outAddressAt + 8 * maxChain;
const outSegmentAt = inSegmentAt + 16 * maxChain;
export const elementBlobBytes: number = outSegmentAt + 16 * maxChain;

function viewOf(blob: Uint8Array): DataView {
  return new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
}

/** Where a segment's address and length stand. */
type Places = readonly [addressAt: number, segmentAt: number];
const outPlaces: Places = [outAddressAt, outSegmentAt];
const inPlaces: Places = [inAddressAt, inSegmentAt];

/** Counts that fit, and numbers that JavaScript holds exactly: no memory is beyond. */
function isElement(blob: Uint8Array): boolean {
  const view = viewOf(blob);
  const fits = (count: number, [addressAt, segmentAt]: Places): boolean => {
    if (count > maxChain) return false;
    for (let i = 0; i < count; i++) {
      if (view.getUint32(addressAt + 8 * i + 4, true) >= 0x20_0000) return false;
      if (view.getUint32(segmentAt + 16 * i + 12, true) >= 0x20_0000) return false;
    }
    return true;
  };
  return fits(view.getUint32(4, true), outPlaces) && fits(view.getUint32(8, true), inPlaces);
}

function segments(view: DataView, count: number, [addressAt, segmentAt]: Places): Segment[] {
  return Array.from({ length: count }, (_, i) => ({
    address: Number(view.getBigUint64(addressAt + 8 * i, true)),
    length: Number(view.getBigUint64(segmentAt + 16 * i + 8, true)),
  }));
}

function decode(blob: Uint8Array): VirtqueueElement {
  if (!isElement(blob))
    throw new MigrationError("FIELD_CHECK", "this is no request in flight", { expected: elementText });
  const view = viewOf(blob);
  return {
    index: view.getUint32(0, true),
    out: segments(view, view.getUint32(4, true), outPlaces),
    in: segments(view, view.getUint32(8, true), inPlaces),
  };
}

function encode(element: VirtqueueElement): Uint8Array {
  const blob = new Uint8Array(elementBlobBytes);
  const view = viewOf(blob);
  const put = (list: readonly Segment[], countAt: number, [addressAt, segmentAt]: Places): void => {
    if (list.length > maxChain) {
      throw new MigrationError("COUNT_BOUND", "a request in flight has too many segments", {
        expected: `at most ${maxChain}`,
        found: String(list.length),
      });
    }
    view.setUint32(countAt, list.length, true);
    for (const [i, { address, length }] of list.entries()) {
      view.setBigUint64(addressAt + 8 * i, BigInt(address), true);
      view.setBigUint64(segmentAt + 16 * i + 8, BigInt(length), true);
    }
  };
  view.setUint32(0, element.index, true);
  put(element.out, 4, outPlaces);
  put(element.in, 8, inPlaces);
  return blob;
}

const elementText = `at most ${maxChain} segments each way, at addresses below 2^53`;

const blobDescription = vmstate({
  name: "VirtQueueElement",
  version: 0,
  fields: { blob: checked(buffer(elementBlobBytes), isElement, elementText) },
});

/**
 * The wire record keeps the bytes, since a host leaves anything in entries that are not in use; the state is the
 * request that they tell of. More than 1,024 segments either way, or an address from 2^53 on, are `FIELD_CHECK`.
 */
export const elementBlob: Field<VirtqueueElement> = tmp(blobDescription, {
  save: (element: VirtqueueElement) => ({ blob: encode(element) }),
  load: ({ blob }) => decode(blob),
});

/**
 * An element of a device that offers packed rings: a big-endian u32 `ndescs`, and the blob. The count stands before the
 * blob, where QEMU writes it; QEMU itself looks for it behind the blob when it loads, and so cannot load what it saved
 * (wire reference 13.6). An element without `ndescs` is written as one of a single slot.
 */
export const packedElementBlob: Field<VirtqueueElement> = tmp(
  vmstate({
    name: "VirtQueueElement",
    version: 0,
    fields: { ndescs: u32, element: struct(blobDescription) },
  }),
  {
    save: (element: VirtqueueElement) => ({ ndescs: element.ndescs ?? 1, element: { blob: encode(element) } }),
    load: ({ ndescs, element }) => ({ ...decode(element.blob), ndescs }),
  },
);
