// One request of the driver: read from its chain, carried out at the back end, answered (virtio 1.2, section 5.2.6).
import { segmentBytes, type Virtqueue, type VirtqueueElement } from "@godwit/virtio-core";
import type { BlockBackend, Outcome } from "./backend.ts";
import { requestHeaderBytes, requestStatus, requestType, sectorBytes, serialBytes } from "./constants.ts";

/** More data than this in one request is refused, whatever the chain says that it has room for. Bytes. */
export const maxRequestBytes: number = 64 * 1024 * 1024;

export interface Disk {
  readonly backend: BlockBackend;
  readonly readOnly: boolean;
  /** 20 bytes. */
  readonly serial: Uint8Array;
}

/** What is to be done for a request, once its chain has been looked at. */
export interface Work {
  start(): Outcome | Promise<Outcome>;
  /** Written into the chain from its beginning when `start` is done. */
  readonly data: Uint8Array | undefined;
}

/** A chain without header or status byte: nothing can be answered, and the device is broken. */
export const malformed = "malformed";

/** Reads the chain. A number is an answer that needs no back end. */
export function workOf(disk: Disk, queue: Virtqueue, element: VirtqueueElement): Work | number | typeof malformed {
  const dataIn = segmentBytes(element.in) - 1;
  const dataOut = segmentBytes(element.out) - requestHeaderBytes;
  if (dataIn < 0 || dataOut < 0) return malformed;
  const header = queue.read(element, 0, requestHeaderBytes);
  if (header.length < requestHeaderBytes) return malformed;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const sector = view.getBigUint64(8, true);
  const { backend } = disk;
  switch (view.getUint32(0, true)) {
    case requestType.IN: {
      if (!isOnDisk(disk, sector, dataIn)) return requestStatus.IOERR;
      const data = new Uint8Array(dataIn);
      return { data, start: () => backend.read(Number(sector), data) };
    }
    case requestType.OUT: {
      if (disk.readOnly || !isOnDisk(disk, sector, dataOut)) return requestStatus.IOERR;
      const data = queue.read(element, requestHeaderBytes, dataOut);
      if (data.length < dataOut) return malformed;
      return { data: undefined, start: () => backend.write(Number(sector), data) };
    }
    case requestType.FLUSH:
      return { data: undefined, start: () => backend.flush() };
    case requestType.GET_ID:
      return { data: disk.serial.subarray(0, Math.min(dataIn, serialBytes)), start: () => undefined };
    default:
      return requestStatus.UNSUPP;
  }
}

function isOnDisk({ backend }: Disk, sector: bigint, bytes: number): boolean {
  if (bytes % sectorBytes !== 0 || bytes > maxRequestBytes) return false;
  return sector * BigInt(sectorBytes) + BigInt(bytes) <= BigInt(backend.sizeBytes);
}

/** Answers: data, then the status in the last byte that the driver gave, then the used ring. */
export function answer(queue: Virtqueue, element: VirtqueueElement, status: number, data?: Uint8Array): void {
  const good = status === requestStatus.OK && data !== undefined;
  if (good) queue.write(element, 0, data);
  queue.write(element, segmentBytes(element.in) - 1, Uint8Array.of(status));
  queue.push(element, (good ? data.length : 0) + 1);
}
