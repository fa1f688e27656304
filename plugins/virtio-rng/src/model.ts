// virtioRng(): an entropy device. A request stays in its ring until there are bytes for it, so none is ever in flight.
import { MigrationError } from "@godwit/core";
import {
  maxChain,
  type NoData,
  noData,
  segmentBytes,
  type VirtioDevice,
  type VirtioModel,
  type Virtqueue,
} from "@godwit/virtio-core";
import type { EntropyBackend } from "./backend.ts";
import { quota, type RateLimit } from "./rate.ts";
import { virtioRngClass } from "./section.ts";

export interface VirtioRngOptions {
  readonly backend: EntropyBackend;
  /** Without it the guest takes what the back end gives. */
  readonly rate?: RateLimit;
  /** Entries of the ring; the default is 8. */
  readonly queueSize?: number;
  /** Told of what the back end threw. */
  readonly onError?: (error: unknown) => void;
}

export interface VirtioRngModel extends VirtioModel<NoData> {
  /** Asks the back end again for requests that wait; so does every kick, and a machine that resumes. */
  retry(): void;
}

/** The back end is asked for no more than this at a time. Bytes. */
const maxReadBytes = 64 * 1024;

export function virtioRng(options: VirtioRngOptions): VirtioRngModel {
  const { backend, onError, queueSize = 8 } = options;
  if (!Number.isInteger(Math.log2(queueSize)) || queueSize > maxChain) {
    throw new MigrationError("DEFINITION_INVALID", "virtio-rng's queueSize cannot be", {
      expected: `a power of two up to ${maxChain}`,
      found: String(queueSize),
    });
  }
  let device: VirtioDevice | undefined;
  /** The back end has been asked, and has not answered. */
  let asked = false;
  /** What came while the machine stood: its memory may have been sent already. */
  let held: Uint8Array | undefined;
  /** Between `quiesce` or `load` and the machine's running on. */
  let holding = false;
  const allowance = quota(options.rate, serve);

  function serve(): void {
    while (!asked && !holding) {
      const wanted = wantedBytes();
      if (wanted === 0) return;
      if (!deliver(ask(wanted))) return;
    }
  }

  /** Room in the request that is next, as far as it may be filled; 0: nothing is to be done. */
  function wantedBytes(): number {
    const queue = usableQueue();
    const element = queue?.pop();
    if (queue === undefined || element === undefined) return 0;
    const room = segmentBytes(element.in);
    if (room === 0) {
      device?.fail("virtio-rng: a request without room for a byte");
      return 0;
    }
    queue.unpop(element);
    return Math.min(room, allowance.left, maxReadBytes);
  }

  function usableQueue(): Virtqueue | undefined {
    const queue = device?.queues[0];
    return device?.running && queue?.ready ? queue : undefined;
  }

  /** What is there at once; nothing where it comes later, or not. */
  function ask(bytes: number): Uint8Array {
    try {
      const answer = backend.read(bytes);
      if (!(answer instanceof Promise)) return answer;
      asked = true;
      answer.then(arrived, failed);
    } catch (error) {
      onError?.(error);
    }
    return new Uint8Array(0);
  }

  function arrived(bytes: Uint8Array): void {
    asked = false;
    if (holding) held = bytes;
    else if (deliver(bytes)) serve();
  }

  function failed(error: unknown): void {
    asked = false;
    onError?.(error);
  }

  /** Fills requests in their order, as far as the bytes go. False where none was answered. */
  function deliver(bytes: Uint8Array): boolean {
    const queue = usableQueue();
    let done = 0;
    const end = Math.min(bytes.length, allowance.left);
    while (done < end) {
      const element = queue?.pop();
      if (queue === undefined || element === undefined) break;
      const written = queue.write(element, 0, bytes.subarray(done, Math.min(end, done + segmentBytes(element.in))));
      // No room: the request is looked at, and refused, when it is the next one.
      if (written === 0) {
        queue.unpop(element);
        break;
      }
      queue.push(element, written);
      done += written;
    }
    if (done === 0) return false;
    allowance.take(done);
    queue?.notify();
    return true;
  }

  return {
    name: virtioRngClass.name,
    sectionVersion: virtioRngClass.version,
    minimumVersion: virtioRngClass.minimumVersion,
    deviceId: virtioRngClass.deviceId,
    description: noData,
    features: 0n,
    queueSizes: [queueSize],
    configBytes: () => new Uint8Array(0),
    attach(to) {
      device = to;
    },
    kick: serve,
    reset() {},
    save: () => ({}),
    load() {
      holding = true;
      allowance.restart();
    },
    // The back end may have nothing for long: nobody waits for it, as its bytes belong to no request yet.
    async quiesce() {
      holding = true;
    },
    resumed() {
      holding = false;
      const bytes = held;
      held = undefined;
      if (bytes !== undefined) deliver(bytes);
      serve();
    },
    retry: serve,
  };
}
