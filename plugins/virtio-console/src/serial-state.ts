// What virtio-serial writes before a class description would stand (QEMU: VirtIOSerial; wire reference 13.8): its size,
// the ports that exist, and of each port who has it open and the output that was half taken.
import { array, type Field, struct, u8, u16, u32, u64n, varray, vmstate, when } from "@godwit/core";
import { elementBlob, packedElementBlob, type VirtqueueElement } from "@godwit/virtio-core";

/** What decides about the bytes, and is not in them. Plain data. */
export interface SerialParameters {
  /** Ports that there can be, 1 to 511: the words of the map follow from it. */
  readonly maxPorts: number;
  /** Whether the device offers packed rings. QEMU then writes a count before each element. */
  readonly packed: boolean;
}

export interface SerialPortState {
  id: number;
  /** Not 0: the guest has the port open. */
  guest_connected: number;
  /** Not 0: the host has, as far as the guest knows. */
  host_connected: number;
  /** Not 0: `element` was taken from the output queue and is not used up. */
  elem_popped: number;
  /** The segment of `element` that is next. */
  iov_idx: number;
  /** Bytes of that segment that are done. */
  iov_offset: number;
  element: VirtqueueElement;
}

export interface VirtioSerialState {
  /** Of configuration space. QEMU reads nothing from these three. */
  cols: number;
  rows: number;
  max_nr_ports: number;
  /** Bit `id & 31` of word `id >> 5` for each port that exists, and always for port 0. */
  ports_map: Uint32Array;
  nr_active_ports: number;
  ports: SerialPortState[];
}

/** Of a port without output on the way. */
export const noElement: VirtqueueElement = Object.freeze({
  index: 0,
  out: Object.freeze([]),
  in: Object.freeze([]),
});

export function mapWords(maxPorts: number): number {
  return Math.ceil(maxPorts / 32);
}

/** More ports than there can be are `COUNT_BOUND`. */
export function serialState({ maxPorts, packed }: SerialParameters): Field<VirtioSerialState> {
  const popped = (record: { readonly elem_popped?: unknown }): boolean => record.elem_popped !== 0;
  const element: Field<VirtqueueElement> = packed ? packedElementBlob : elementBlob;
  const port = vmstate({
    name: "VirtIOSerialPort",
    version: 0,
    fields: {
      id: u32,
      guest_connected: u8,
      host_connected: u8,
      elem_popped: u32,
      iov_idx: when(popped, u32, { absent: 0 }),
      iov_offset: when(popped, u64n, { absent: 0 }),
      element: when(popped, element, { absent: noElement }),
    },
  });
  const description = vmstate({
    name: "VirtIOSerial",
    version: 3,
    fields: {
      cols: u16,
      rows: u16,
      max_nr_ports: u32,
      ports_map: array(u32, mapWords(maxPorts)),
      nr_active_ports: u32,
      ports: varray("nr_active_ports", struct(port), { max: maxPorts }),
    },
  });
  return struct(description);
}
