// What a state of ports must be for a device to go on with it.
import { MigrationError } from "@godwit/core";
import { feature, hex, type VirtioCheckContext } from "@godwit/virtio-core";
import { receiveQueueOf } from "./constants.ts";
import type { SerialPortState, VirtioSerialState } from "./serial-state.ts";

/** Buffer ids of a packed ring are the driver's own: any 16 bits (virtio 1.2, section 2.8.1). */
const bufferIds = 0x1_0000;

function refuse(path: string, detail: string, expected: string, found: string): never {
  throw new MigrationError("DEVICE_CHECK", detail, { path: `legacy.${path}`, expected, found });
}

/** The guest knows the ports by their ids: those of both sides must be the same. */
export function checkPorts(context: VirtioCheckContext<VirtioSerialState>, map: Uint32Array): void {
  const { ports_map, ports } = context.legacy;
  for (const [i, own] of map.entries()) {
    const found = ports_map[i] as number;
    if (found !== own) refuse(`ports_map[${i}]`, "the ports are not those of this device", hex(own), hex(found));
  }
  const seen = new Set<number>();
  for (const [i, port] of ports.entries()) {
    if (!hasPort(map, port.id)) refuse(`ports[${i}].id`, "this device has no such port", idsOf(map), String(port.id));
    if (seen.has(port.id)) refuse(`ports[${i}].id`, "a port came twice", "each once", String(port.id));
    seen.add(port.id);
    if (port.elem_popped !== 0) checkOutput(port, i, context);
  }
}

function hasPort(map: Uint32Array, id: number): boolean {
  return (((map[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
}

function idsOf(map: Uint32Array): string {
  const ids = Array.from({ length: 32 * map.length }, (_, id) => id).filter((id) => hasPort(map, id));
  return ids.join(" or ");
}

function checkOutput(
  { id, element, iov_idx, iov_offset }: SerialPortState,
  i: number,
  { queues, features }: VirtioCheckContext<VirtioSerialState>,
): void {
  const isPacked = (features & feature.RING_PACKED) !== 0n;
  const queue = queues[receiveQueueOf(id) + 1];
  if (queue === undefined || queue.desc === 0n) {
    refuse(`ports[${i}].element`, "half-taken output belongs to a queue that is not set up", "a queue in use", "none");
  } else {
    const places = isPacked ? bufferIds : queue.num;
    if (element.index >= places) {
      refuse(
        `ports[${i}].element`,
        "half-taken output has no place in its ring",
        `below ${places}`,
        String(element.index),
      );
    }
    const slots = isPacked ? (element.ndescs ?? 1) : 1;
    if (slots < 1 || slots > queue.num) {
      refuse(
        `ports[${i}].element`,
        "half-taken output cannot take so many entries",
        `1 to ${queue.num}`,
        String(slots),
      );
    }
  }
  const segment = element.out[iov_idx];
  if (segment === undefined) {
    refuse(
      `ports[${i}].iov_idx`,
      "half-taken output goes on behind its end",
      `below ${element.out.length}`,
      String(iov_idx),
    );
  }
  if (iov_offset > segment.length) {
    refuse(
      `ports[${i}].iov_offset`,
      "half-taken output goes on behind its segment",
      `at most ${segment.length}`,
      String(iov_offset),
    );
  }
}
