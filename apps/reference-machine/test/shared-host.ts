// What two machines of a test share, as two hosts share storage and a network; in memory, with every write kept.

import {
  checkBlock,
  checkDisk,
  checkPacket,
  checkPool,
  checkSequence,
  emptyTally,
  type Finding,
  isClean,
  tallyArrival,
} from "../src/evidence.ts";
import { type GuestStatus, readStatusBlock } from "../src/guest/status-block.ts";
import { type ReferenceMachine, type ReferenceMachineOptions, referenceMachine } from "../src/machine/machine.ts";
import { macAddress } from "../src/profiles/profile.ts";

const sectorBytes = 512;

export interface SharedHost {
  readonly image: Uint8Array;
  readonly writes: Finding[];
  readonly packets: Finding[];
  readonly console: string[];
  machine(more?: Partial<ReferenceMachineOptions>): ReferenceMachine;
}

export function sharedHost(seed: number, diskBytes = 1 << 20): SharedHost {
  const image = new Uint8Array(diskBytes);
  const writes: Finding[] = [];
  const packets: Finding[] = [];
  const lines: string[] = [];
  return {
    image,
    writes,
    packets,
    console: lines,
    machine: (more = {}) =>
      referenceMachine({
        memoryBytes: 4 << 20,
        disk: {
          sizeBytes: diskBytes,
          read: (sector, into) => into.set(image.subarray(sector * sectorBytes, sector * sectorBytes + into.length)),
          // A turn of the event loop later, so that requests are in flight.
          write: (sector, bytes) =>
            new Promise((resolve) => {
              setTimeout(() => {
                image.set(bytes, sector * sectorBytes);
                writes.push(checkBlock(bytes, seed));
                resolve();
              }, 1);
            }),
          flush: () => {},
        },
        send: (frame) => packets.push(checkPacket(frame, seed, macAddress)),
        hostNow: () => process.hrtime.bigint(),
        onConsoleLine: (line) => lines.push(line),
        ...more,
      }),
  };
}

/** Runs until the guest has completed so many blocks; throws where it stops getting on. */
export async function runUntil(machine: ReferenceMachine, blocks: number): Promise<GuestStatus> {
  const until = Date.now() + 30_000;
  for (;;) {
    const status = readStatusBlock(machine.ram());
    if (status !== undefined && status.blocksCompleted >= blocks) return status;
    if (status !== undefined && status.errorCount > 0)
      throw new Error(`guest error ${status.errorCode} detail ${status.errorDetail}`);
    if (Date.now() > until) throw new Error(`the guest is stuck at ${JSON.stringify(status)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** All evidence of a machine that stands; each part empty of faults, and counted. */
export function evidence(host: SharedHost, machine: ReferenceMachine, seed: number) {
  const status = readStatusBlock(machine.ram());
  if (status === undefined) throw new Error("the guest has not begun");
  const tally = (findings: Finding[]) => {
    const sequence = emptyTally();
    for (const finding of findings) tallyArrival(sequence, finding);
    return sequence;
  };
  const blocks = { completed: status.blocksCompleted, submitted: status.blocksSubmitted };
  const packets = { completed: status.packetsCompleted, submitted: status.packetsSubmitted };
  const verdicts = {
    blocks: checkSequence(tally(host.writes), blocks),
    packets: checkSequence(tally(host.packets), packets),
    disk: checkDisk(host.image, seed, blocks),
    pool: checkPool(machine.ram(), status),
  };
  return { status, verdicts, clean: Object.values(verdicts).every(isClean) };
}
