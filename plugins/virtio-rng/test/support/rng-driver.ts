// A driver of virtio-rng, and back ends that answer when a test wants.
import { type Bench, type Buffer, Driver, type Machine } from "@godwit/virtio-testkit";
import type { EntropyBackend } from "../../src/backend.ts";

export interface Request {
  readonly head: number;
  readonly at: number;
}

export class RngDriver<M extends Bench = Machine> extends Driver<M> {
  /** Puts a request into the ring without a kick; several lengths are several segments. */
  put(...lengths: number[]): Request {
    const buffers: Buffer[] = lengths.map((length) => ({ at: this.allocate(length), length }));
    return { head: this.ring(0).add([], buffers), at: (buffers[0] as Buffer).at };
  }

  ask(...lengths: number[]): Request {
    const request = this.put(...lengths);
    this.ring(0).kick();
    return request;
  }

  /** What was answered since the last call: the bytes of each request of one segment. */
  take(requests: readonly Request[]): number[][] {
    return this.ring(0)
      .reap()
      .map(({ head, length }) => {
        const request = requests.findLast((one) => one.head === head);
        if (request === undefined) throw new Error(`nobody asked for ${head}`);
        return [...this.bytes(request.at, length)];
      });
  }
}

/** Counts: 1, 2, 3 ... at once, as many as are asked for but `most` at a time. */
export function counting(most = Number.POSITIVE_INFINITY): EntropyBackend & { readonly asked: number[] } {
  const asked: number[] = [];
  let next = 1;
  return {
    asked,
    read(bytes) {
      asked.push(bytes);
      return Uint8Array.from({ length: Math.min(bytes, most) }, () => next++ & 0xff);
    },
  };
}

/** Answers when the test says so. */
export function waiting(): EntropyBackend & {
  readonly asked: number[];
  give(...bytes: number[]): Promise<void>;
  fail(error: unknown): Promise<void>;
} {
  const asked: number[] = [];
  let resolve: (bytes: Uint8Array) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const settled = (): Promise<void> => new Promise((done) => setTimeout(done, 0));
  return {
    asked,
    read(bytes) {
      asked.push(bytes);
      return new Promise((yes, no) => {
        resolve = yes;
        reject = no;
      });
    },
    give(...bytes) {
      resolve(Uint8Array.from(bytes));
      return settled();
    },
    fail(error) {
      reject(error);
      return settled();
    },
  };
}
