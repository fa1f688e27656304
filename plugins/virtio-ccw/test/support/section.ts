// The device's section in a stream of ours, and how the stream is with another state in its place.
import { decodeState, encodeState } from "@godwit/core";
import type { VirtioClass } from "@godwit/virtio-core";
import { type VirtioCcwState, virtioCcwFamily } from "../../src/index.ts";

type State<S> = VirtioCcwState<S, Record<never, never>>;

export function sectionIn<S>(stream: Uint8Array, device: VirtioClass<Record<never, never>, S>, busId = "fe.0.0001") {
  const idstr = `/${busId}/${device.name}`;
  const buffer = Buffer.from(stream);
  const at = buffer.lastIndexOf(`${idstr}\0\0\0\0`);
  const section = buffer.readUInt32BE(at - 5);
  const from = at + idstr.length + 8;
  const footer = Buffer.from([0x7e, 0, 0, 0, section]);
  const bytes = stream.subarray(from, buffer.indexOf(footer, from));
  const family = virtioCcwFamily(device);
  const description = family.build(family.infer({ idstr, instance: 0, version: device.version, bytes }));
  const state = decodeState(description, bytes);
  return {
    bytes,
    state,
    with(change: (state: State<S>) => State<S>): Uint8Array {
      const changed = encodeState(description, change(state));
      if (changed.length !== bytes.length) throw new Error("another length");
      const copy = stream.slice();
      copy.set(changed, from);
      return copy;
    },
  };
}
