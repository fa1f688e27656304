// Configuration space in the guest's order: from virtio 1.0 on it is little-endian, before that the CPU's.

/**
 * The image with each field turned round where the guest is big-endian; a copy. `widths` are the bytes of each field from
 * the first on; what they do not reach, or all where there are none, is taken for single bytes. Its own inverse.
 */
export function inGuestOrder(image: Uint8Array, widths: readonly number[] = [], littleEndian: boolean): Uint8Array {
  const bytes = image.slice();
  if (littleEndian) return bytes;
  let at = 0;
  for (const width of widths) {
    bytes.subarray(at, at + width).reverse();
    at += width;
  }
  return bytes;
}

/** From where to where the fields reach that `length` bytes from `offset` on fall on. */
export function fieldsAround(widths: readonly number[], offset: number, length: number): { from: number; to: number } {
  let from = offset;
  let to = offset + length;
  let at = 0;
  for (const width of widths) {
    const end = at + width;
    if (at < offset && offset < end) from = at;
    if (at < offset + length && offset + length < end) to = end;
    at = end;
  }
  return { from, to };
}
