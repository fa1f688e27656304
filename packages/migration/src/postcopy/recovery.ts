// Where post-copy stands without a connection: somebody brings another one, or gives it up.
import type { MigrationError, Side } from "@godwit/core";
import { migrationError } from "../codes.ts";
import type { Channel, HostClock } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";
import { orAborted } from "../opening.ts";

type Connect = () => Promise<Channel>;

interface Wanted {
  resolve(connect: Connect): void;
  reject(error: MigrationError): void;
}

export class Recovery {
  readonly #side: Side;
  readonly #clock: HostClock;
  readonly #timeoutMs: number;
  #wanted: { readonly by: Wanted; readonly error: MigrationError } | undefined;
  #asked: { resolve(): void; reject(error: MigrationError): void } | undefined;

  constructor(side: Side, clock: HostClock, timeoutMs: number) {
    this.#side = side;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves with the next connection that somebody brings; rejects with `error` where it is given up. */
  wanted(error: MigrationError): Promise<Connect> {
    return new Promise((resolve, reject) => {
      this.#wanted = { by: { resolve, reject }, error };
    });
  }

  /** Resolves when pages flow again. `PROTOCOL_ORDER` where nothing is paused; else why it did not work: it may be tried again. */
  recover(connect: Connect): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === undefined) {
      const detail = "only a migration that is postcopy-paused can be recovered";
      return Promise.reject(migrationError("PROTOCOL_ORDER", detail, { side: this.#side }));
    }
    this.#wanted = undefined;
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
      wanted.by.resolve(connect);
    });
  }

  /** Gives up what is paused. False where nothing is. */
  abandon(): boolean {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted?.by.reject(wanted.error);
    return wanted !== undefined;
  }

  done(): void {
    this.#asked?.resolve();
    this.#asked = undefined;
  }

  /** What tells whoever asked for this recovery that it has failed. The next one may be asked for before that. */
  failing(): (error: MigrationError) => void {
    const asked = this.#asked;
    this.#asked = undefined;
    return (error) => asked?.reject(error);
  }

  /** `PEER_SILENT` where nobody answers. A connection that comes too late is closed again. */
  open(connect: Connect, interrupt: Interrupt): Promise<Channel> {
    const opening = orAborted(connect(), () => interrupt.reason);
    return this.soon(opening, interrupt, "nobody answers");
  }

  /** What `promise` gives. `PEER_SILENT` with `what`, where it takes too long. */
  async soon<T>(promise: Promise<T>, interrupt: Interrupt, what: string): Promise<T> {
    const stop = this.#clock.after(this.#timeoutMs, () => {
      interrupt.raise(migrationError("PEER_SILENT", `${what} for ${this.#timeoutMs} ms`, { side: this.#side }));
    });
    try {
      return await interrupt.wait(promise);
    } finally {
      stop();
    }
  }
}
