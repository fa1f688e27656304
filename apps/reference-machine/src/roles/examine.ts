// The evidence, examined: every block, packet and line that either process let out, the disks, what the guest found of
// what it was given, and what its memory and the accelerator hold.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cardOf, checkCardPackets, checkTrees } from "../card-evidence.ts";
import {
  checkBlock,
  checkDisk,
  checkPacket,
  checkPool,
  checkSequence,
  emptyTally,
  isClean,
  type Progress,
  tallyArrival,
  type Verdict,
} from "../evidence.ts";
import type { CardStatus } from "../guest/card-block.ts";
import { type GuestStatus, readStatusBlock } from "../guest/status-block.ts";
import { type DiskName, readDisk, readJournal, readPackets, sectorBytes } from "../host/storage.ts";
import type { ReferenceMachine } from "../machine/machine.ts";
import {
  checkBalloon,
  checkDraws,
  checkJobs,
  checkLines,
  checkLinesTaken,
  PIECE_BYTES,
  scsiSeed,
} from "../peripheral-evidence.ts";
import { cardNames } from "../profiles/cards.ts";
import { macAddress } from "../profiles/profile.ts";
import type { Evidence } from "./messages.ts";

export interface Examined {
  readonly evidence: Evidence;
  readonly clean: boolean;
}

/** The pool of a machine that stands: `ram` and `guest` are of the same instant. */
export function examinePool(ram: Uint8Array): Verdict {
  const guest = readStatusBlock(ram);
  if (guest === undefined) throw new Error("the guest has not begun");
  return checkPool(ram, guest);
}

/** What is examined when a machine arrives, before it runs on and writes over it. */
export type Arrived = Pick<Evidence, "pool" | "balloon" | "jobs">;

/** Of a machine that stands. */
export function examineMachine(machine: ReferenceMachine): Arrived {
  const pool = examinePool(machine.ram());
  const guest = readStatusBlock(machine.ram());
  if (machine.peripherals === undefined || guest === undefined) return { pool };
  const { accelerator } = machine.peripherals;
  const jobs = accelerator === undefined ? {} : { jobs: checkJobs(accelerator, guest) };
  return { pool, balloon: checkBalloon(machine.ram(), guest), ...jobs };
}

/** Both together, with the later one's count. */
function joined(earlier: Verdict | undefined, later: Verdict): Verdict {
  if (earlier === undefined) return later;
  return {
    intact: later.intact,
    missing: [...earlier.missing, ...later.missing],
    repeated: [...earlier.repeated, ...later.repeated],
    torn: [...earlier.torn, ...later.torn],
    unexpected: [...earlier.unexpected, ...later.unexpected],
  };
}

async function examineDisk(folder: string, name: DiskName, of: { seed: number; sectors: number; progress: Progress }) {
  const written = emptyTally();
  for (const { bytes } of await readJournal(folder, name)) tallyArrival(written, checkBlock(bytes, of.seed));
  const image = await readDisk(folder, name);
  return {
    blocks: checkSequence(written, of.progress),
    disk: checkDisk(image.subarray(0, of.sectors * sectorBytes), of.seed, of.progress),
  };
}

async function examinePeripherals(folder: string, machine: ReferenceMachine, arrived: Arrived, seed: number) {
  const guest = readStatusBlock(machine.ram());
  const { balloon, jobs } = examineMachine(machine);
  if (guest === undefined || balloon === undefined) return {};
  const log = (name: string) => readFile(join(folder, name));
  const scsi = await examineDisk(folder, "scsi", {
    seed: scsiSeed(seed),
    sectors: guest.scsiSectors,
    progress: { completed: guest.scsiCompleted, submitted: guest.scsiSubmitted },
  });
  return {
    draws: checkDraws(guest, (await log("entropy.log")).length / PIECE_BYTES),
    linesOut: checkLines(await log("serial-out.log"), seed, {
      completed: guest.linesCompleted,
      submitted: guest.linesSubmitted,
    }),
    linesIn: checkLinesTaken(guest, (await log("serial-in.log")).length),
    balloon: joined(arrived.balloon, balloon),
    scsiBlocks: scsi.blocks,
    scsiDisk: scsi.disk,
    ...(jobs && { jobs: joined(arrived.jobs, jobs) }),
  };
}

/** Of a machine that stands. `arrived` was examined before it ran here; `cards`: of a machine in which all are plugged. */
export async function examine(
  folder: string,
  machine: ReferenceMachine,
  guest: GuestStatus,
  arrived: Arrived,
  seed: number,
  cards?: readonly CardStatus[],
): Promise<Examined> {
  const blocks = { completed: guest.blocksCompleted, submitted: guest.blocksSubmitted };
  const packets = { completed: guest.packetsCompleted, submitted: guest.packetsSubmitted };
  const written = await examineDisk(folder, "disk", { seed, sectors: guest.diskSectors, progress: blocks });
  const sent = emptyTally();
  const frames = await readPackets(folder);
  for (const frame of frames) {
    if (cardOf(frame) === undefined) tallyArrival(sent, checkPacket(frame, seed, macAddress));
  }
  const evidence: Evidence = {
    blocks: written.blocks,
    packets: checkSequence(sent, packets),
    disk: written.disk,
    pool: arrived.pool,
    ...(await examinePeripherals(folder, machine, arrived, seed)),
    ...(cards && { trees: checkTrees(cards, cardNames), cardPackets: checkCardPackets(frames, cards, seed) }),
  };
  return { evidence, clean: Object.values(evidence).every(isClean) };
}
