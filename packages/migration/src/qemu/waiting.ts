// How long a QEMU may take: what is waited for, and what is said when it does not come.
import type { Side } from "@godwit/core";
import { migrationError } from "../codes.ts";
import type { HostClock } from "../host.ts";
import type { Interrupt } from "../interrupt.ts";

export interface Waiting {
  readonly clock: HostClock;
  readonly interrupt: Interrupt;
  readonly peerTimeoutMs: number;
}

/** What `promise` gives, before the attempt ends and before the peer counts as silent: `PEER_SILENT` with `what`. */
export async function soon<T>(waiting: Waiting, side: Side, what: string, promise: Promise<T>): Promise<T> {
  const { clock, interrupt, peerTimeoutMs } = waiting;
  const stop = clock.after(peerTimeoutMs, () => {
    interrupt.raise(migrationError("PEER_SILENT", `${what} for ${peerTimeoutMs} ms`, { side }));
  });
  try {
    return await interrupt.wait(promise);
  } finally {
    stop();
  }
}

/** A promise, and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
