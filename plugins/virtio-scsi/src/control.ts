// The control queue: task management, and subscriptions that no disk has anything to tell for (virtio 1.2, 5.6.6.2).
import { segmentBytes, type Virtqueue, type VirtqueueElement } from "@godwit/virtio-core";
import { controlType, response, tmf, tmfResponse } from "./constants.ts";
import type { ScsiDiskUnit } from "./disk.ts";
import { type UnitAddress, unitOf } from "./request.ts";

const typeBytes = 4;
const tmfBytes = 24;
const subscribeAnswerBytes = 5;

/** Carries it out and gives the chain back. False: the chain is none. */
export function serveControl(
  queue: Virtqueue,
  element: VirtqueueElement,
  littleEndian: boolean,
  unitAt: (address: UnitAddress) => ScsiDiskUnit | undefined,
  unitsOf: (target: number) => readonly ScsiDiskUnit[],
): boolean {
  const head = queue.read(element, 0, typeBytes);
  if (head.length < typeBytes) return false;
  const type = new DataView(head.buffer, head.byteOffset).getUint32(0, littleEndian);
  if (type !== controlType.TMF) {
    // No event is offered: what was asked for is answered with none.
    const answer = new Uint8Array(Math.min(subscribeAnswerBytes, segmentBytes(element.in)));
    if (answer.length < subscribeAnswerBytes) return false;
    answer[4] = type === controlType.AN_QUERY || type === controlType.AN_SUBSCRIBE ? response.OK : response.FAILURE;
    queue.push(element, queue.write(element, 0, answer));
    return true;
  }
  const bytes = queue.read(element, 0, tmfBytes);
  if (bytes.length < tmfBytes || segmentBytes(element.in) < 1) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const subtype = view.getUint32(4, littleEndian);
  const tag = littleEndian ? view.getUint32(16, true) : view.getUint32(20);
  const answer = manage(subtype, unitOf(bytes.subarray(8, 16)), tag, unitAt, unitsOf);
  queue.push(element, queue.write(element, 0, Uint8Array.of(answer)));
  return true;
}

function manage(
  subtype: number,
  address: UnitAddress | undefined,
  tag: number,
  unitAt: (address: UnitAddress) => ScsiDiskUnit | undefined,
  unitsOf: (target: number) => readonly ScsiDiskUnit[],
): number {
  if (address === undefined) return response.BAD_TARGET;
  const there = unitsOf(address.target);
  if (there.length === 0) return response.BAD_TARGET;
  if (subtype === tmf.I_T_NEXUS_RESET) {
    for (const unit of there) unit.resetByDriver();
    return tmfResponse.COMPLETE;
  }
  const unit = unitAt(address);
  if (unit === undefined) return tmfResponse.INCORRECT_LUN;
  switch (subtype) {
    case tmf.ABORT_TASK:
      unit.abort(tag);
      return tmfResponse.COMPLETE;
    case tmf.ABORT_TASK_SET:
    case tmf.CLEAR_TASK_SET:
      unit.abort();
      return tmfResponse.COMPLETE;
    case tmf.LOGICAL_UNIT_RESET:
      unit.resetByDriver();
      return tmfResponse.COMPLETE;
    case tmf.QUERY_TASK:
      return unit.has(tag) ? tmfResponse.SUCCEEDED : tmfResponse.COMPLETE;
    case tmf.QUERY_TASK_SET:
      return unit.inFlight > 0 ? tmfResponse.SUCCEEDED : tmfResponse.COMPLETE;
    default:
      return tmfResponse.REJECTED;
  }
}
