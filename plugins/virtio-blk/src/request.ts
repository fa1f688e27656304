// One request of the driver: read from its chain, carried out at the back end, answered (virtio 1.2, section 5.2.6).
import { segmentBytes, type Virtqueue, type VirtqueueElement } from "@godwit/virtio-core";
import type { BlockBackend, Outcome } from "./backend.ts";
import {
  maxRangeSectors,
  rangeBytes,
  requestHeaderBytes,
  requestStatus,
  requestType,
  sectorBytes,
  serialBytes,
  unmapFlag,
} from "./constants.ts";

/** More data than this in one request is refused, whatever the chain says that it has room for. Bytes. */
export const maxRequestBytes: number = 64 * 1024 * 1024;

export interface Disk {
  readonly backend: BlockBackend;
  readonly readOnly: boolean;
  /** 20 bytes. */
  readonly serial: Uint8Array;
  readonly discard: boolean;
  readonly writeZeroes: boolean;
  /** Byte order of a request's numbers. */
  readonly littleEndian: boolean;
  /** What is written must be durable before it is answered: the driver has no way to ask for that, or chose so. */
  readonly writeThrough: boolean;
}

/** What is to be done for a request, once its chain has been looked at. */
export interface Work {
  start(): Outcome | Promise<Outcome>;
  /** Written into the chain from its beginning when `start` is done. */
  readonly data: Uint8Array | undefined;
}

/** A chain without header or status byte: nothing can be answered, and the device is broken. */
export const malformed = "malformed";

type Prepared = Work | number | typeof malformed;

/** Reads the chain. A number is an answer that needs no back end. */
export function workOf(disk: Disk, queue: Virtqueue, element: VirtqueueElement): Prepared {
  const dataIn = segmentBytes(element.in) - 1;
  const dataOut = segmentBytes(element.out) - requestHeaderBytes;
  if (dataIn < 0 || dataOut < 0) return malformed;
  const header = queue.read(element, 0, requestHeaderBytes);
  if (header.length < requestHeaderBytes) return malformed;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const sector = view.getBigUint64(8, disk.littleEndian);
  const { backend } = disk;
  const type = view.getUint32(0, disk.littleEndian);
  switch (type) {
    case requestType.IN: {
      if (!isOnDisk(disk, sector, dataIn)) return requestStatus.IOERR;
      const data = new Uint8Array(dataIn);
      return { data, start: () => backend.read(Number(sector), data) };
    }
    case requestType.OUT: {
      if (disk.readOnly || !isOnDisk(disk, sector, dataOut)) return requestStatus.IOERR;
      const data = queue.read(element, requestHeaderBytes, dataOut);
      if (data.length < dataOut) return malformed;
      return write(disk, () => backend.write(Number(sector), data));
    }
    case requestType.FLUSH:
      return { data: undefined, start: () => backend.flush() };
    case requestType.GET_ID:
      return { data: disk.serial.subarray(0, Math.min(dataIn, serialBytes)), start: () => undefined };
    case requestType.DISCARD:
    case requestType.WRITE_ZEROES:
      if (type === requestType.DISCARD ? !disk.discard : !disk.writeZeroes) return requestStatus.UNSUPP;
      return rangeWork(disk, queue, element, type, dataOut);
    default:
      return requestStatus.UNSUPP;
  }
}

/** Without a cache, what is written is flushed before it is answered. */
function write({ backend, writeThrough }: Disk, start: () => Outcome | Promise<Outcome>): Work {
  if (!writeThrough) return { data: undefined, start };
  const flushed = (outcome: Outcome): Outcome | Promise<Outcome> => (outcome === "retry" ? outcome : backend.flush());
  return {
    data: undefined,
    start: () => {
      const outcome = start();
      return outcome instanceof Promise ? outcome.then(flushed) : flushed(outcome);
    },
  };
}

/** One range a request, as configuration space says. */
function rangeWork(disk: Disk, queue: Virtqueue, element: VirtqueueElement, type: number, bytes: number): Prepared {
  if (disk.readOnly) return requestStatus.IOERR;
  if (bytes !== rangeBytes) return requestStatus.UNSUPP;
  const range = queue.read(element, requestHeaderBytes, rangeBytes);
  if (range.length < rangeBytes) return malformed;
  const view = new DataView(range.buffer, range.byteOffset, range.byteLength);
  const first = view.getBigUint64(0, disk.littleEndian);
  const sectors = view.getUint32(8, disk.littleEndian);
  const flags = view.getUint32(12, disk.littleEndian);
  const known = type === requestType.WRITE_ZEROES ? unmapFlag : 0;
  if ((flags & ~known) !== 0) return requestStatus.UNSUPP;
  if (sectors > maxRangeSectors || !isWithin(disk, first, sectors * sectorBytes)) return requestStatus.IOERR;
  const { backend } = disk;
  const sector = Number(first);
  if (type === requestType.DISCARD) return write(disk, () => backend.discard?.(sector, sectors));
  return write(disk, () => zeroes(backend, sector, sectors, (flags & unmapFlag) !== 0));
}

/** Bytes of zeros that are written at once where the back end has no better way. */
const zeroChunkSectors = 2048;

function zeroes(backend: BlockBackend, from: number, sectors: number, unmap: boolean): Outcome | Promise<Outcome> {
  if (backend.writeZeroes !== undefined) return backend.writeZeroes(from, sectors, unmap);
  const end = from + sectors;
  const chunk = (sector: number): Outcome | Promise<Outcome> => {
    for (let at = sector; at < end; at += zeroChunkSectors) {
      const next = at + zeroChunkSectors;
      const outcome = backend.write(at, new Uint8Array(sectorBytes * Math.min(zeroChunkSectors, end - at)));
      // Zeros may be written twice: a request that is retried begins anew.
      if (outcome === "retry") return outcome;
      if (outcome instanceof Promise) return outcome.then((value) => (value === "retry" ? value : chunk(next)));
    }
    return undefined;
  };
  return chunk(from);
}

function isOnDisk(disk: Disk, sector: bigint, bytes: number): boolean {
  return bytes % sectorBytes === 0 && bytes <= maxRequestBytes && isWithin(disk, sector, bytes);
}

function isWithin({ backend }: Disk, sector: bigint, bytes: number): boolean {
  return sector * BigInt(sectorBytes) + BigInt(bytes) <= BigInt(backend.sizeBytes);
}

/** Answers: data, then the status in the last byte that the driver gave, then the used ring. */
export function answer(queue: Virtqueue, element: VirtqueueElement, status: number, data?: Uint8Array): void {
  const good = status === requestStatus.OK && data !== undefined;
  if (good) queue.write(element, 0, data);
  queue.write(element, segmentBytes(element.in) - 1, Uint8Array.of(status));
  queue.push(element, (good ? data.length : 0) + 1);
}
