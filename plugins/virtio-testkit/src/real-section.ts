// One virtio section of a stream that QEMU saved, without reading the memory before it.
import type { SectionSample } from "@godwit/core";
import { findVmdesc } from "@godwit/core/stream";

// The longest description of these streams has 60 kB.
const vmdescTailBytes = 1 << 20;

/** Found by its idstr behind everything that RAM may hold of the same bytes, and as long as the stream's vmdesc says. */
export function realSection(stream: Uint8Array, idstr: string): SectionSample {
  const devices = findVmdesc(stream.subarray(-vmdescTailBytes))?.vmdesc.devices ?? [];
  const device = devices.find(({ name }) => name === idstr);
  if (device?.fields === undefined) throw new Error(`no section ${idstr}`);
  const bytes = device.fields.reduce((sum, { size, array_len = 1 }) => sum + size * array_len, 0);
  const name = Uint8Array.from(idstr, (character) => character.charCodeAt(0));
  // Its version and instance follow the name; the vmdesc, which has the name as well, has a quote there.
  for (let at = stream.lastIndexOf(name.length); at >= 0; at = stream.lastIndexOf(name.length, at - 1)) {
    const end = at + 1 + name.length;
    if (stream[end] !== 0 || !name.every((byte, i) => stream[at + 1 + i] === byte)) continue;
    const head = new DataView(stream.buffer, stream.byteOffset + end, 8);
    const from = end + 8;
    return { idstr, instance: head.getUint32(0), version: head.getUint32(4), bytes: stream.slice(from, from + bytes) };
  }
  throw new Error(`no section ${idstr}`);
}
