// Where ownership records are kept: the interface that a program gives, and a log for tests and simulators.
import { migrationError } from "../codes.ts";
import { checkedRecord, formatRecord, isSameRecord, type OwnershipRecord } from "./record.ts";

/**
 * The records of one host. It outlives the process: it is what a process that restarts knows. One process at a time runs
 * the machines of a log; who starts another one makes sure that the old one is dead, which no record can tell.
 */
export interface OwnershipLog {
  /**
   * The record that was written last, or nothing where there never was one. `OWNERSHIP_RECORD` for one that is torn or
   * of something else; that is never taken for none.
   */
  read(machine: string): Promise<OwnershipRecord | undefined>;
  /**
   * Puts `record` in the place of `previous`, wholly or not at all, and resolves when it is durable.
   * `OWNERSHIP_CONFLICT`, and nothing is changed, if `previous` is not what the log holds: two who decide at the same
   * moment (an answer "never", and the hand-over itself) must not both have their way.
   */
  write(record: OwnershipRecord, previous: OwnershipRecord | undefined): Promise<void>;
}

/** A log that lasts as long as the object: for tests and simulators, where a process is killed but its log is kept. */
export function memoryOwnershipLog(records: readonly OwnershipRecord[] = []): OwnershipLog {
  const byMachine = new Map(records.map((record) => [record.machine, record]));
  return {
    read: async (machine) => byMachine.get(machine),
    write: async (record, previous) => {
      const found = byMachine.get(record.machine);
      if (!isSameRecord(found, previous)) throw recordConflict(previous, found);
      byMachine.set(record.machine, Object.freeze(checkedRecord({ ...record }, record.machine)));
    },
  };
}

/** `OWNERSHIP_CONFLICT`: the log holds something else than whoever writes has read. */
export function recordConflict(previous: OwnershipRecord | undefined, found: OwnershipRecord | undefined) {
  return migrationError("OWNERSHIP_CONFLICT", "somebody else has changed the ownership record", {
    expected: formatRecord(previous),
    found: formatRecord(found),
  });
}
