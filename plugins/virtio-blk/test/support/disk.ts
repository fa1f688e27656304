// A driver of virtio-blk, and back ends that count, wait and fail as a test wants.

import { type Bench, type Buffer, Driver, type Machine } from "@godwit/virtio-testkit";
import type { BlockBackend, Outcome } from "../../src/backend.ts";

export interface Request {
  readonly head: number;
  readonly data: number;
  readonly dataBytes: number;
  readonly statusAt: number;
}

export class DiskDriver<M extends Bench = Machine> extends Driver<M> {
  /** Puts a request into a queue without a kick. Data goes out for type 1, in for the others. */
  put(queue: number, type: number, sector: bigint, data: Uint8Array | number): Request {
    const header = this.allocate(16);
    this.view.setUint32(header, type, true);
    this.view.setBigUint64(header + 8, sector, true);
    const out = typeof data !== "number";
    const dataBytes = out ? data.length : data;
    const at = this.allocate(dataBytes);
    if (out) this.machine.ram.set(data, at);
    const statusAt = this.allocate(1);
    this.machine.ram[statusAt] = 0xee;
    const buffers: Buffer[] = dataBytes === 0 ? [] : [{ at, length: dataBytes }];
    const last = { at: statusAt, length: 1 };
    const head = this.ring(queue).add(
      [{ at: header, length: 16 }, ...(out ? buffers : [])],
      [...(out ? [] : buffers), last],
    );
    return { head, data: at, dataBytes, statusAt };
  }

  send(queue: number, type: number, sector: bigint, data: Uint8Array | number): Request {
    const request = this.put(queue, type, sector, data);
    this.ring(queue).kick();
    return request;
  }

  /** The status byte: 0xee as long as the device has not answered. */
  status({ statusAt }: Request): number {
    return this.machine.ram[statusAt] as number;
  }

  data({ data, dataBytes }: Request): Uint8Array {
    return this.bytes(data, dataBytes);
  }
}

/** An image in memory that answers at once. */
export function image(sectors: number): BlockBackend & { readonly bytes: Uint8Array; readonly log: string[] } {
  const bytes = new Uint8Array(512 * sectors);
  const log: string[] = [];
  return {
    bytes,
    log,
    sizeBytes: bytes.length,
    read(sector, into) {
      log.push(`read ${sector}`);
      into.set(bytes.subarray(512 * sector, 512 * sector + into.length));
    },
    write(sector, data) {
      log.push(`write ${sector}`);
      bytes.set(data, 512 * sector);
    },
    flush() {
      log.push("flush");
    },
  };
}

export interface Held {
  readonly what: string;
  /** Carries it out and answers. */
  finish(): void;
  /** Settles as `retry`. */
  giveBack(): void;
}

/** The same image, but each request waits until the test lets it go; `recall` gives back what waits. */
export function slowImage(of: BlockBackend): BlockBackend & { readonly held: Held[]; recalls: number } {
  const held: Held[] = [];
  const wait = (what: string, work: () => unknown): Promise<Outcome> =>
    new Promise<Outcome>((resolve) => {
      const end = (then: () => void) => () => {
        held.splice(held.indexOf(entry), 1);
        then();
      };
      const entry = {
        what,
        finish: end(() => {
          work();
          resolve();
        }),
        giveBack: end(() => resolve("retry")),
      };
      held.push(entry);
    });
  const backend = {
    held,
    recalls: 0,
    sizeBytes: of.sizeBytes,
    read: (sector: number, into: Uint8Array) => wait(`read ${sector}`, () => of.read(sector, into)),
    write: (sector: number, bytes: Uint8Array) => wait(`write ${sector}`, () => of.write(sector, bytes)),
    flush: () => wait("flush", () => of.flush()),
    recall() {
      backend.recalls++;
      for (const entry of [...held]) entry.giveBack();
    },
  };
  return backend;
}

/** A sector whose bytes all tell its number. */
export function sectorOf(number: number): Uint8Array {
  return new Uint8Array(512).fill(number);
}
