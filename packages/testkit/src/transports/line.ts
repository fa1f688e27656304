// One direction of a simulated connection: what the sender hands over arrives in other chunks, later, spoiled, or not.
import { MigrationError } from "@godwit/core";
import { type Spread, spreadOf } from "./random.ts";
import type { VirtualTime } from "./time.ts";

export interface LineOptions {
  /** Bytes of the chunks that arrive, at most: 1, say, or any number between two. The default leaves them as they are. */
  readonly chunkBytes?: number | Spread;
  /** How long bytes are under way; they never overtake each other. Needs `time`. Nanoseconds. */
  readonly latencyNs?: number | Spread;
  /** Bits that arrive turned over; `offset` counts the bytes of this direction. Bit 0 is the lowest. */
  readonly corrupt?: readonly { readonly offset: number; readonly bit?: number }[];
  /** Exactly so many bytes arrive. `break`: then both sides fail. `end`: then it is as if the sender had closed. */
  readonly cut?: { readonly afterBytes: number; readonly how?: "break" | "end" };
  /** So many bytes arrive, and no more until `goOn`. The sender waits when the buffer is full. */
  readonly stallAfterBytes?: number;
}

/** What a test sees of a direction, and does with it. */
export interface Line {
  readonly sentBytes: number;
  readonly arrivedBytes: number;
  readonly isStalled: boolean;
  /** Ends a stall, for good. */
  goOn(): void;
}

/** What happens to the connection as a whole. */
export interface Ends {
  /** The next chunk that the channel below has. */
  next(): Promise<IteratorResult<Uint8Array, undefined>>;
  breakBoth(error: MigrationError): void;
  closeSender(): void;
}

interface Stamp {
  readonly upTo: number;
  readonly at: bigint;
}

export class SimulatedLine implements Line {
  sentBytes = 0;
  arrivedBytes = 0;
  isStalled = false;
  readonly #options: LineOptions;
  readonly #pick: (of: number | Spread) => number;
  readonly #time: VirtualTime | undefined;
  readonly #stamps: Stamp[] = [];
  #rest: Uint8Array | undefined;
  #stallAt: number;
  /** Cut off, closed or broken: nothing is waited for any more. */
  #over: "no" | "ended" | "closed" | "broken" = "no";
  #wake: (() => void) | undefined;

  constructor(options: LineOptions, seed: number, time: VirtualTime | undefined) {
    if (options.latencyNs !== undefined && time === undefined) throw new RangeError("latency needs a `time`");
    this.#options = options;
    this.#pick = spreadOf(seed);
    this.#time = time;
    this.#stallAt = options.stallAfterBytes ?? Number.POSITIVE_INFINITY;
  }

  /** The sender hands bytes over. */
  sent(bytes: number): void {
    this.sentBytes += bytes;
    const { latencyNs } = this.#options;
    if (latencyNs === undefined || this.#time === undefined || bytes === 0) return;
    this.#stamps.push({ upTo: this.sentBytes, at: this.#time.now + BigInt(this.#pick(latencyNs)) });
  }

  async next(ends: Ends): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      if (this.#over === "ended") return { done: true, value: undefined };
      const left = (this.#options.cut?.afterBytes ?? Number.POSITIVE_INFINITY) - this.arrivedBytes;
      if (left <= 0 && this.#over === "no") this.#cut(ends);
      else if (this.arrivedBytes >= this.#stallAt && this.#over === "no") await this.#stall();
      else if (this.#rest === undefined || this.#over !== "no") {
        this.#rest = undefined;
        const { done, value } = await ends.next();
        if (done) return { done, value: undefined };
        // Of what comes behind a break nothing arrives.
        if (this.#over === "no") this.#rest = value;
      } else if (await this.#isThere()) return { done: false, value: this.#take(this.#rest, left) };
    }
  }

  /** The receiver has closed, or the connection is broken: whoever waits goes on, and meets what is below. */
  over(how: "closed" | "broken"): void {
    if (this.#over === "no") this.#over = how;
    this.#rest = undefined;
    this.#stirred();
  }

  goOn(): void {
    this.#stallAt = Number.POSITIVE_INFINITY;
    this.#stirred();
  }

  #cut(ends: Ends): void {
    this.#rest = undefined;
    if (this.#options.cut?.how === "end") {
      this.#over = "ended";
      ends.closeSender();
    } else {
      this.#over = "broken";
      ends.breakBoth(new MigrationError("TRANSPORT_CLOSED", `the line is cut after ${this.arrivedBytes} bytes`));
    }
  }

  async #stall(): Promise<void> {
    this.isStalled = true;
    await new Promise<void>((wake) => {
      this.#wake = wake;
    });
    this.isStalled = false;
  }

  /** Whether the next byte has had its time. False: look again, for something has happened meanwhile. */
  async #isThere(): Promise<boolean> {
    while ((this.#stamps[0]?.upTo ?? Number.POSITIVE_INFINITY) <= this.arrivedBytes) this.#stamps.shift();
    const stamp = this.#stamps[0];
    if (stamp === undefined || this.#time === undefined || stamp.at <= this.#time.now) return true;
    await Promise.race([
      this.#time.sleep(stamp.at - this.#time.now),
      new Promise<void>((wake) => {
        this.#wake = wake;
      }),
    ]);
    return false;
  }

  #take(chunk: Uint8Array, left: number): Uint8Array {
    const { chunkBytes, corrupt = [] } = this.#options;
    const wanted = chunkBytes === undefined ? chunk.length : Math.max(1, this.#pick(chunkBytes));
    const due = (this.#stamps[0]?.upTo ?? Number.POSITIVE_INFINITY) - this.arrivedBytes;
    const bytes = Math.min(chunk.length, wanted, left, this.#stallAt - this.arrivedBytes, due);
    const taken = chunk.slice(0, bytes);
    this.#rest = bytes < chunk.length ? chunk.subarray(bytes) : undefined;
    for (const { offset, bit = 0 } of corrupt) {
      const at = offset - this.arrivedBytes;
      if (at >= 0 && at < bytes) taken[at] = (taken[at] as number) ^ (1 << bit);
    }
    this.arrivedBytes += bytes;
    return taken;
  }

  #stirred(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
