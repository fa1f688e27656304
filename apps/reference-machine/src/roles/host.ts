// What both processes stand on: the shared disk and network, a clock with timers, and the machine between them.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { HostClock } from "@godwit/migration";
import { type CardStatus, readCardBlocks } from "../guest/card-block.ts";
import { type GuestStatus, readStatusBlock } from "../guest/status-block.ts";
import { numberedEntropy, SharedPieces } from "../host/entropy.ts";
import { HostWork } from "../host/host-work.ts";
import { SerialLine, SharedSerialLog } from "../host/serial-line.ts";
import { SharedDisk, SharedNetwork } from "../host/storage.ts";
import { type ReferenceMachine, referenceMachine } from "../machine/machine.ts";
import type { CardName } from "../profiles/cards.ts";
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
  /** What the host does to the machine while it runs. */
  readonly work: HostWork;
  guest(): GuestStatus | undefined;
  /** Cards of which the guest has fetched the event; none where the profile has no hot-plug. */
  cards(): CardStatus[];
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

/** `present`: cards that are in their slots from the start. */
export async function openHost(options: RoleOptions, present: readonly CardName[] = []): Promise<Host> {
  const disk = await SharedDisk.open(options.folder, "disk");
  const scsiDisk = await SharedDisk.open(options.folder, "scsi");
  const pieces = new SharedPieces(options.folder);
  const log = new SharedSerialLog(options.folder);
  const line = new SerialLine(log, options.seed);
  const network = await SharedNetwork.open(options.folder);
  let failure: unknown;
  const machine = referenceMachine({
    profile: options.profile,
    memoryBytes: options.memoryMiB * 1024 * 1024,
    disk,
    scsiDisk,
    entropy: numberedEntropy(pieces, options.seed),
    serialOut: (bytes) => line.take(bytes),
    send: (frame) => network.send(frame),
    hostNow: () => process.hrtime.bigint(),
    onConsoleLine: (line) => tell({ event: "console", line }),
    onFailure: (error) => {
      failure = error;
    },
    iommuLast: options.iommuLast,
    walksTravel: options.walksTravel,
    present,
  });
  const guest = () => readStatusBlock(machine.ram());
  if (machine.peripherals !== undefined) line.attach(machine.peripherals.serial);
  const work = new HostWork({ machine, line, log, guest });
  work.start();
  return {
    machine,
    work,
    guest,
    cards: () => (machine.hotplug === undefined ? [] : readCardBlocks(machine.ram())),
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
      work.stop();
      await network.close();
      await disk.close();
      await scsiDisk.close();
      pieces.close();
      log.close();
    },
  };
}
