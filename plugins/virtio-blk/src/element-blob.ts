// A request in flight as QEMU writes it: a VirtQueueElement as it lies in the memory of a 64-bit little-endian host
// (wire reference 13.6). 49,168 bytes: u32 index, out_num, in_num, 4 bytes of padding; u64 in_addr[1024],
// out_addr[1024]; {u64 base, u64 length} in_sg[1024], out_sg[1024].
import { buffer, checked, type Field, MigrationError, tmp, vmstate } from "@godwit/core";
import { maxChain, type Segment, type VirtqueueElement } from "@godwit/virtio-core";

const inAddressAt = 16;
const outAddressAt = inAddressAt + 8 * maxChain;
const inSegmentAt = outAddressAt + 8 * maxChain;
const outSegmentAt = inSegmentAt + 16 * maxChain;
export const elementBlobBytes: number = outSegmentAt + 16 * maxChain;

function viewOf(blob: Uint8Array): DataView {
  return new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
}

function isElement(blob: Uint8Array): boolean {
  const view = viewOf(blob);
  return view.getUint32(4, true) <= maxChain && view.getUint32(8, true) <= maxChain;
}

function wide(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new MigrationError("BITS_RANGE", "an address or length of a request in flight is beyond 2^53 - 1", {
    found: `0x${value.toString(16)}`,
  });
}

function segments(view: DataView, count: number, addressAt: number, segmentAt: number): Segment[] {
  return Array.from({ length: count }, (_, i) => ({
    address: wide(view, addressAt + 8 * i),
    length: wide(view, segmentAt + 16 * i + 8),
  }));
}

function decode(blob: Uint8Array): VirtqueueElement {
  if (!isElement(blob)) throw new MigrationError("COUNT_BOUND", "a request in flight has too many segments");
  const view = viewOf(blob);
  return {
    index: view.getUint32(0, true),
    out: segments(view, view.getUint32(4, true), outAddressAt, outSegmentAt),
    in: segments(view, view.getUint32(8, true), inAddressAt, inSegmentAt),
  };
}

function encode(element: VirtqueueElement): Uint8Array {
  const blob = new Uint8Array(elementBlobBytes);
  const view = viewOf(blob);
  const put = (list: readonly Segment[], addressAt: number, segmentAt: number): void => {
    for (const [i, { address, length }] of list.entries()) {
      view.setBigUint64(addressAt + 8 * i, BigInt(address), true);
      view.setBigUint64(segmentAt + 16 * i + 8, BigInt(length), true);
    }
  };
  for (const list of [element.out, element.in]) {
    if (list.length <= maxChain) continue;
    throw new MigrationError("COUNT_BOUND", "a request in flight has too many segments", {
      expected: `at most ${maxChain}`,
      found: String(list.length),
    });
  }
  view.setUint32(0, element.index, true);
  view.setUint32(4, element.out.length, true);
  view.setUint32(8, element.in.length, true);
  put(element.out, outAddressAt, outSegmentAt);
  put(element.in, inAddressAt, inSegmentAt);
  return blob;
}

/**
 * The wire record keeps the bytes, since a host leaves anything in entries that are not in use; the state is the
 * request that they tell of. More than 1,024 segments either way are `FIELD_CHECK`.
 */
export const elementBlob: Field<VirtqueueElement> = tmp(
  vmstate({
    name: "VirtQueueElement",
    version: 0,
    fields: {
      blob: checked(buffer(elementBlobBytes), isElement, `at most ${maxChain} segments each way`),
    },
  }),
  { save: (element: VirtqueueElement) => ({ blob: encode(element) }), load: ({ blob }) => decode(blob) },
);
