// What two machines of a test share, as two hosts share storage and a network; in memory, with every write kept.

import { cardOf, checkCardPackets, checkTrees } from "../src/card-evidence.ts";
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
import { readCardBlocks } from "../src/guest/card-block.ts";
import { type GuestStatus, readStatusBlock } from "../src/guest/status-block.ts";
import { numberedEntropy, type PieceNumbers } from "../src/host/entropy.ts";
import { HostWork } from "../src/host/host-work.ts";
import { SerialLine, type SerialLog } from "../src/host/serial-line.ts";
import { type ReferenceMachine, type ReferenceMachineOptions, referenceMachine } from "../src/machine/machine.ts";
import {
  checkBalloon,
  checkDraws,
  checkJobs,
  checkLines,
  checkLinesTaken,
  scsiSeed,
} from "../src/peripheral-evidence.ts";
import { cardNames } from "../src/profiles/cards.ts";
import { macAddress } from "../src/profiles/profile.ts";
import type { Hotplug } from "../src/profiles/pseries.ts";
import type { Evidence } from "../src/roles/messages.ts";

const sectorBytes = 512;

export interface SharedHost {
  readonly image: Uint8Array;
  readonly writes: Finding[];
  readonly packets: Finding[];
  /** What pseries' cards sent. */
  readonly cardFrames: Uint8Array[];
  readonly console: string[];
  readonly scsiImage: Uint8Array;
  readonly scsiWrites: Finding[];
  /** Numbers of the pieces of entropy that were handed out. */
  readonly pieces: number[];
  /** What came out of the serial port. */
  readonly serialOut: number[];
  /** Bytes that were taken of the host's lines. */
  serialIn: number;
  machine(more?: Partial<ReferenceMachineOptions>): ReferenceMachine;
  /** A host that has seen the same, for a machine that goes another way from here. */
  fork(): SharedHost;
  /** What the host does to the machine; one for each machine of this host. */
  work(machine: ReferenceMachine): HostWork;
}

/** A disk in memory that keeps all that was written. */
function memoryDisk(image: Uint8Array, seed: number, writes: Finding[]) {
  return {
    sizeBytes: image.length,
    read: (sector: number, into: Uint8Array) =>
      into.set(image.subarray(sector * sectorBytes, sector * sectorBytes + into.length)),
    // A turn of the event loop later, so that requests are in flight.
    write: (sector: number, bytes: Uint8Array) =>
      new Promise<void>((resolve) => {
        setTimeout(() => {
          image.set(bytes, sector * sectorBytes);
          writes.push(checkBlock(bytes, seed));
          resolve();
        }, 1);
      }),
    flush: () => {},
  };
}

export function sharedHost(seed: number, diskBytes = 1 << 20): SharedHost {
  const image = new Uint8Array(diskBytes);
  const scsiImage = new Uint8Array(diskBytes);
  const writes: Finding[] = [];
  const scsiWrites: Finding[] = [];
  const pieces: number[] = [];
  const serialOut: number[] = [];
  const packets: Finding[] = [];
  const cardFrames: Uint8Array[] = [];
  const lines: string[] = [];
  const numbers: PieceNumbers = { next: () => pieces.push(pieces.length + 1) };
  const log: SerialLog = {
    keep: (bytes) => serialOut.push(...bytes),
    sentBytes: () => host.serialIn,
    sent(bytes) {
      host.serialIn += bytes;
    },
  };
  const ends = new WeakMap<ReferenceMachine, SerialLine>();
  const host: SharedHost = {
    image,
    writes,
    packets,
    cardFrames,
    console: lines,
    scsiImage,
    scsiWrites,
    pieces,
    serialOut,
    serialIn: 0,
    fork() {
      const copy = sharedHost(seed, diskBytes);
      copy.image.set(image);
      copy.writes.push(...writes);
      copy.packets.push(...packets);
      copy.cardFrames.push(...cardFrames);
      copy.scsiImage.set(scsiImage);
      copy.scsiWrites.push(...scsiWrites);
      copy.pieces.push(...pieces);
      copy.serialOut.push(...serialOut);
      copy.serialIn = host.serialIn;
      return copy;
    },
    machine(more = {}) {
      const line = new SerialLine(log, seed);
      const machine = referenceMachine({
        memoryBytes: 4 << 20,
        disk: memoryDisk(image, seed, writes),
        scsiDisk: memoryDisk(scsiImage, scsiSeed(seed), scsiWrites),
        entropy: numberedEntropy(numbers, seed),
        serialOut: (bytes) => line.take(bytes),
        send: (frame) => {
          if (cardOf(frame) === undefined) packets.push(checkPacket(frame, seed, macAddress));
          else cardFrames.push(frame);
        },
        hostNow: () => process.hrtime.bigint(),
        onConsoleLine: (text) => lines.push(text),
        ...more,
      });
      if (machine.peripherals !== undefined) line.attach(machine.peripherals.serial);
      ends.set(machine, line);
      return machine;
    },
    work(machine) {
      const line = ends.get(machine);
      if (line === undefined) throw new Error("a machine of another host");
      return new HostWork({ machine, line, log, guest: () => readStatusBlock(machine.ram()) });
    },
  };
  return host;
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

function peripheralEvidence(host: SharedHost, machine: ReferenceMachine, status: GuestStatus, seed: number) {
  if (machine.peripherals === undefined) return {};
  const { accelerator } = machine.peripherals;
  const scsiBlocks = { completed: status.scsiCompleted, submitted: status.scsiSubmitted };
  const written = emptyTally();
  for (const finding of host.scsiWrites) tallyArrival(written, finding);
  return {
    draws: checkDraws(status, host.pieces.length),
    linesOut: checkLines(Uint8Array.from(host.serialOut), seed, {
      completed: status.linesCompleted,
      submitted: status.linesSubmitted,
    }),
    linesIn: checkLinesTaken(status, host.serialIn),
    balloon: checkBalloon(machine.ram(), status),
    scsiBlocks: checkSequence(written, scsiBlocks),
    scsiDisk: checkDisk(host.scsiImage, scsiSeed(seed), scsiBlocks),
    ...(accelerator === undefined ? {} : { jobs: checkJobs(accelerator, status) }),
  };
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
  const verdicts: Evidence = {
    blocks: checkSequence(tally(host.writes), blocks),
    packets: checkSequence(tally(host.packets), packets),
    disk: checkDisk(host.image, seed, blocks),
    pool: checkPool(machine.ram(), status),
    ...peripheralEvidence(host, machine, status, seed),
    ...(machine.hotplug && cardVerdicts(host, machine, machine.hotplug, seed)),
  };
  return { status, verdicts, clean: Object.values(verdicts).every(isClean) };
}

function cardVerdicts(host: SharedHost, machine: ReferenceMachine, hotplug: Hotplug, seed: number) {
  const cards = readCardBlocks(machine.ram());
  const plugged = cardNames.filter((name) => hotplug.connector(name)?.attached === true);
  return { trees: checkTrees(cards, plugged), cardPackets: checkCardPackets(host.cardFrames, cards, seed) };
}
