// What both processes stand on: the shared disk and network, a clock with timers, and the machine between them.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { HostClock } from "@godwit/migration";
import { type GuestStatus, readStatusBlock } from "../guest/status-block.ts";
import { SharedDisk, SharedNetwork } from "../host/storage.ts";
import { type ReferenceMachine, referenceMachine } from "../machine/machine.ts";
import { type RoleOptions, tell } from "./messages.ts";

export const hostClock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    return () => clearTimeout(timeout);
  },
};

export async function yieldToHost(): Promise<void> {
  await nextTurn();
}

export interface Host {
  readonly machine: ReferenceMachine;
  guest(): GuestStatus | undefined;
  /** Resolves when the guest satisfies `enough`; rejects when it reports an error, or gets nowhere. */
  until(enough: (guest: GuestStatus) => boolean, whileWaiting?: () => void): Promise<GuestStatus>;
  /** Pauses between two requests, and waits until disk and network hold all that was sent. */
  stop(): Promise<GuestStatus>;
  close(): Promise<void>;
}

/** The guest does not do what it should. Its evidence is examined all the same. */
export class GuestTrouble extends Error {}

const patienceMs = 20_000;
const pollMs = 20;

export async function openHost(options: RoleOptions): Promise<Host> {
  const disk = await SharedDisk.open(options.folder);
  const network = await SharedNetwork.open(options.folder);
  let failure: unknown;
  const machine = referenceMachine({
    profile: options.profile,
    memoryBytes: options.memoryMiB * 1024 * 1024,
    disk,
    send: (frame) => network.send(frame),
    hostNow: () => process.hrtime.bigint(),
    onConsoleLine: (line) => tell({ event: "console", line }),
    onFailure: (error) => {
      failure = error;
    },
    iommuLast: options.iommuLast,
  });
  const guest = () => readStatusBlock(machine.ram());
  return {
    machine,
    guest,
    async until(enough, whileWaiting) {
      let last = { progress: -1, atMs: performance.now() };
      for (;;) {
        if (failure !== undefined) throw failure;
        const status = guest();
        if (status !== undefined && status.errorCount > 0) {
          throw new GuestTrouble(
            `the guest reports error ${status.errorCode}, detail 0x${status.errorDetail.toString(16)}`,
          );
        }
        if (status !== undefined && enough(status)) return status;
        const progress = status?.blocksCompleted ?? 0;
        if (progress !== last.progress) last = { progress, atMs: performance.now() };
        else if (performance.now() - last.atMs > patienceMs)
          throw new GuestTrouble(`the guest stands still at block ${progress}`);
        whileWaiting?.();
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    },
    async stop() {
      await machine.kernel.quiesce();
      machine.kernel.pause();
      await network.drain();
      const status = guest();
      if (status === undefined) throw new Error("the guest has not begun");
      return status;
    },
    async close() {
      await network.close();
      await disk.close();
    },
  };
}
