// Bodies of a stream's full sections, found by the head that stands before each and the footer behind it.
import { sectionBytes, type VmdescDevice } from "../../src/stream/index.ts";

/** The body of a device's section; `expected` gives its length where the vmdesc does not tell it. */
export function bodyOf(stream: Uint8Array, device: VmdescDevice): Uint8Array | undefined {
  const name = new TextEncoder().encode(device.name);
  const needle = Uint8Array.from([name.length, ...name, 0, 0, 0, 0]);
  new DataView(needle.buffer).setUint32(1 + name.length, device.instance_id);
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  // Devices stand behind RAM: from the end on, the first that fits is the section and no page of a guest's memory.
  for (let at = stream.lastIndexOf(name.length); at > 4; at = stream.lastIndexOf(name.length, at - 1)) {
    if (stream[at - 5] !== 4 || !needle.every((byte, i) => stream[at + i] === byte)) continue;
    const id = view.getUint32(at - 4);
    const from = at + needle.length + 4;
    const bytes = sectionBytes(device);
    for (let to = from + (bytes ?? 0); to + 6 <= stream.length; to++) {
      const isEnd = stream[to] === 0x7e && view.getUint32(to + 1) === id && (stream[to + 5] as number) <= 8;
      if (isEnd) return stream.subarray(from, to);
      if (bytes !== undefined) return undefined;
    }
  }
  return undefined;
}
