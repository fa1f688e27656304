// The control queue: task management, and subscriptions that no disk has anything to tell for (virtio 1.2, 5.6.6.2).
import { segmentBytes, type Virtqueue, type VirtqueueElement } from "@godwit/virtio-core";
import { controlType, response, tmf, tmfResponse } from "./constants.ts";
import type { ScsiDiskUnit } from "./disk.ts";
import { type UnitAddress, unitOf } from "./request.ts";

const typeBytes = 4;
const tmfBytes = 24;
const subscribeBytes = 16;
const subscribeAnswerBytes = 5;

export interface ControlContext {
  readonly littleEndian: boolean;
  readonly units: readonly ScsiDiskUnit[];
  /** The request was looked at before, and has waited since for what it gave up. */
  readonly again: boolean;
}

/**
 * Carries it out and gives the chain back. `wait`: requests that it gave up are still at the back end, and it is not
 * answered before they are over. `malformed`: the chain is none.
 */
export function serveControl(
  queue: Virtqueue,
  element: VirtqueueElement,
  context: ControlContext,
): "done" | "wait" | "malformed" {
  const head = queue.read(element, 0, typeBytes);
  if (head.length < typeBytes) return "malformed";
  const type = new DataView(head.buffer, head.byteOffset).getUint32(0, context.littleEndian);
  switch (type) {
    case controlType.TMF:
      return manageTasks(queue, element, context);
    case controlType.AN_QUERY:
    case controlType.AN_SUBSCRIBE: {
      const sizes = [segmentBytes(element.out) - subscribeBytes, segmentBytes(element.in) - subscribeAnswerBytes];
      if (Math.min(...sizes) < 0) return "malformed";
      // No event is offered: what was asked for is answered with none.
      queue.push(element, queue.write(element, 0, new Uint8Array(subscribeAnswerBytes)));
      return "done";
    }
    default:
      queue.push(element, 0);
      return "done";
  }
}

function manageTasks(
  queue: Virtqueue,
  element: VirtqueueElement,
  context: ControlContext,
): "done" | "wait" | "malformed" {
  const bytes = queue.read(element, 0, tmfBytes);
  if (bytes.length < tmfBytes || segmentBytes(element.in) < 1) return "malformed";
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const subtype = view.getUint32(4, context.littleEndian);
  const id = view.getBigUint64(16, context.littleEndian);
  const answer = context.again
    ? tmfResponse.COMPLETE
    : manage(subtype, unitOf(bytes.subarray(8, 16)), id, context.units);
  if (context.units.some((unit) => unit.cancelling)) return "wait";
  queue.push(element, queue.write(element, 0, Uint8Array.of(answer)));
  return "done";
}

function manage(subtype: number, address: UnitAddress | undefined, id: bigint, units: readonly ScsiDiskUnit[]): number {
  if (subtype === tmf.CLEAR_ACA || subtype > tmf.QUERY_TASK_SET) return tmfResponse.REJECTED;
  const there = units.filter((unit) => unit.address.target === address?.target);
  if (there.length === 0) return response.BAD_TARGET;
  if (subtype === tmf.I_T_NEXUS_RESET) {
    for (const unit of there) unit.resetByDriver();
    return tmfResponse.COMPLETE;
  }
  const unit = there.find((one) => one.address.lun === address?.lun);
  if (unit === undefined) return tmfResponse.INCORRECT_LUN;
  switch (subtype) {
    case tmf.ABORT_TASK:
      unit.cancel(response.ABORTED, id);
      return tmfResponse.COMPLETE;
    case tmf.LOGICAL_UNIT_RESET:
      unit.resetByDriver();
      return tmfResponse.COMPLETE;
    case tmf.QUERY_TASK:
      return unit.has(id) ? tmfResponse.SUCCEEDED : tmfResponse.COMPLETE;
    case tmf.QUERY_TASK_SET:
      return unit.inFlight > 0 ? tmfResponse.SUCCEEDED : tmfResponse.COMPLETE;
    default:
      // There is one initiator: its task set is the whole task set.
      unit.cancel(response.ABORTED);
      return tmfResponse.COMPLETE;
  }
}
