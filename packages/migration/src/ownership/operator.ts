// What people do with ownership records by hand: the first record of a machine, and the two acts that no rule can check.
import { migrationError } from "../codes.ts";
import { type OwnershipLog, recordConflict } from "./log.ts";
import { checkedMachine, checkedRecord, type OwnershipRecord } from "./record.ts";
import { claimed, ownershipRules } from "./rules.ts";

/** That somebody has looked: no process runs this machine, and none will. */
export interface OperatorsWord {
  readonly iHaveMadeSure: true;
}

/**
 * The first record of a new machine: owned here, epoch 1. Said once in a machine's life, by whoever makes it, since an
 * empty log is no proof that nobody has it. `OWNERSHIP_CONFLICT` where the log has a record of it already.
 */
export async function createOwnership(log: OwnershipLog, machine: string): Promise<OwnershipRecord> {
  const found = await readRecord(log, checkedMachine(machine));
  if (found !== undefined) throw recordConflict(undefined, found);
  return write(log, { machine, epoch: 1, state: "owned" }, undefined);
}

/**
 * Takes a machine whose other side is gone for ever. **The one thing that can make two of a machine**: if the peer has
 * taken it after all, and its process or its log comes back, it runs there as well, and no record can know. Ask the peer
 * first (`resolveOwnership`); claim only where there is nobody left to ask, and its power is off.
 *
 * `OWNERSHIP_CONFLICT` where the machine is owned here already, or was never heard of.
 */
export async function claimOwnership(
  log: OwnershipLog,
  machine: string,
  word: OperatorsWord,
): Promise<OwnershipRecord> {
  const found = await readRecord(log, checkedMachine(machine));
  checkWord(word);
  return write(log, claimed(found), found);
}

/**
 * Gives up a machine that is owned here: one that somebody else has claimed, so that this host may take it in again. A
 * machine that nobody has claimed is lost by it. `OWNERSHIP_CONFLICT` where it is not owned.
 */
export async function renounceOwnership(
  log: OwnershipLog,
  machine: string,
  word: OperatorsWord,
): Promise<OwnershipRecord> {
  const found = await readRecord(log, checkedMachine(machine));
  checkWord(word);
  return write(log, ownershipRules.release(found), found);
}

/** What the log has of this machine, checked. `OWNERSHIP_RECORD`. */
export async function readRecord(log: OwnershipLog, machine: string): Promise<OwnershipRecord | undefined> {
  const found = await log.read(machine);
  return found === undefined ? undefined : checkedRecord(found, machine);
}

async function write(
  log: OwnershipLog,
  record: OwnershipRecord,
  previous: OwnershipRecord | undefined,
): Promise<OwnershipRecord> {
  await log.write(record, previous);
  return record;
}

/** For callers without types: a claim is nothing that happens by a missing argument. */
function checkWord(word: OperatorsWord | undefined): void {
  if (word?.iHaveMadeSure === true) return;
  throw migrationError("OPTION_INVALID", "only somebody who has made sure may do this", {
    side: "define",
    path: "iHaveMadeSure",
    expected: "true",
    found: String(word?.iHaveMadeSure),
  });
}
