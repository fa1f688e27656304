// One request of the driver as it stands in its chain, and the answer to it (virtio 1.2, section 5.6.6.1).
import { segmentBytes, type Virtqueue, type VirtqueueElement } from "@godwit/virtio-core";
import { requestHeaderBytes, response as responseCode, responseHeaderBytes, scsiStatus } from "./constants.ts";
import { cdbBytes } from "./requests-field.ts";

/** The two bytes of a unit's number: peripheral device addressing as long as it can be (SAM-5, section 4.7). */
export function lunBytes(lun: number): readonly [number, number] {
  return [lun < 256 ? 0 : 0x40 | (lun >> 8), lun & 0xff];
}

/** Where a logical unit is addressed. */
export interface UnitAddress {
  readonly target: number;
  readonly lun: number;
}

/** Sizes that the driver may set in configuration space, and the byte order of legacy fields. */
export interface RequestForm {
  readonly cdbSize: number;
  readonly senseSize: number;
  readonly littleEndian: boolean;
}

export interface DriverRequest {
  /** Undefined where the eight bytes address nothing that can be here. */
  readonly unit: UnitAddress | undefined;
  /** The driver's own. QEMU's `tag` is its low 32 bits. */
  readonly id: bigint;
  /** 16 bytes. */
  readonly cdb: Uint8Array;
  /** Room for what is read, and bytes that are to be written. */
  readonly inBytes: number;
  readonly outBytes: number;
}

/** A 1, the target, and the unit: in 8 bits by peripheral device addressing, in 14 by flat space addressing. */
export function unitOf(lun: Uint8Array): UnitAddress | undefined {
  const [first, target = 0, high = 0, low = 0] = lun;
  if (first !== 1 || (high !== 0 && high >> 6 !== 1)) return undefined;
  return { target, lun: ((high & 0x3f) << 8) | low };
}

/** Undefined: a chain without the request's header, or without room for the answer. */
export function readRequest(queue: Virtqueue, element: VirtqueueElement, form: RequestForm): DriverRequest | undefined {
  const headerBytes = requestHeaderBytes + form.cdbSize;
  const inBytes = segmentBytes(element.in) - responseHeaderBytes - form.senseSize;
  const outBytes = segmentBytes(element.out) - headerBytes;
  if (inBytes < 0 || outBytes < 0) return undefined;
  const header = queue.read(element, 0, headerBytes);
  if (header.length < headerBytes) return undefined;
  const cdb = new Uint8Array(cdbBytes);
  cdb.set(header.subarray(requestHeaderBytes, requestHeaderBytes + Math.min(cdbBytes, form.cdbSize)));
  const id = new DataView(header.buffer, header.byteOffset + 8, 8).getBigUint64(0, form.littleEndian);
  return { unit: unitOf(header.subarray(0, 8)), id, cdb, inBytes, outBytes };
}

export interface Answer {
  readonly response?: number;
  readonly status?: number;
  readonly sense?: Uint8Array;
  readonly data?: Uint8Array;
  /** Bytes that the driver gave, or had room for, and that were not used. */
  readonly residual?: number;
}

/** Writes the answer, and gives the chain back. */
export function answerRequest(queue: Virtqueue, element: VirtqueueElement, form: RequestForm, answer: Answer): void {
  const { senseSize, littleEndian } = form;
  const sense = (answer.sense ?? new Uint8Array(0)).subarray(0, senseSize);
  const head = new Uint8Array(responseHeaderBytes + senseSize);
  const view = new DataView(head.buffer);
  view.setUint32(0, sense.length, littleEndian);
  view.setUint32(4, answer.residual ?? 0, littleEndian);
  head[10] = answer.status ?? scsiStatus.GOOD;
  head[11] = answer.response ?? responseCode.OK;
  head.set(sense, responseHeaderBytes);
  let written = queue.write(element, 0, head);
  if (answer.data !== undefined) written += queue.write(element, head.length, answer.data);
  queue.push(element, written);
}
