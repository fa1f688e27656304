// The steps of an ownership record, as pure functions: each gives the next record, or refuses. Nothing else makes one.
import { migrationError } from "../codes.ts";
import { formatRecord, type OwnershipRecord } from "./record.ts";

/** What the one who was promised an epoch says of it, for ever: it has it or had it; it never will; it was not asked. */
export type OwnershipAnswer = "taken" | "never" | "unknown";

/**
 * All the rules, replaceable as one: the search in the tests breaks them one by one, and must find each.
 * Errors: `OWNERSHIP_CONFLICT` where the record does not allow the step.
 */
export interface OwnershipRules {
  /** The owner is about to promise epoch + 1 of the result. An epoch that was promised before is burnt. */
  offer(record: OwnershipRecord | undefined): OwnershipRecord;
  /** A destination may be given the machine in this epoch. `OWNERSHIP_EPOCH` if it has seen that one, or a newer one. */
  accept(record: OwnershipRecord | undefined, machine: string, epoch: number): OwnershipRecord;
  /** The owner gives away. To be durable before it is said. */
  release(record: OwnershipRecord | undefined): OwnershipRecord;
  /** The destination has been given this epoch. To be durable before the machine runs. */
  own(record: OwnershipRecord | undefined, epoch: number): OwnershipRecord;
  /** The destination will never have this epoch. To be durable before it is said. */
  refuse(record: OwnershipRecord | undefined, epoch: number): OwnershipRecord;
  /** The former owner heard "never" for this epoch, or has not told anybody that it released. */
  takeBack(record: OwnershipRecord | undefined, refusedEpoch: number): OwnershipRecord;
  /** What to say of an epoch, and what must be durable first. */
  answer(
    record: OwnershipRecord | undefined,
    epoch: number,
  ): { readonly answer: OwnershipAnswer; readonly write?: OwnershipRecord };
}

export const ownershipRules: OwnershipRules = {
  offer(record) {
    const { machine, epoch, offered } = expectState(record, "owned", "offer");
    return { machine, epoch: offered ? epoch + 2 : epoch, state: "owned", offered: true };
  },

  accept(record, machine, epoch) {
    // A machine that is this process's own, and may be running, is not to be overwritten by anybody's offer.
    const atMost = record?.state === "owned" ? 0 : record?.state === "released" ? epoch - 2 : epoch - 1;
    if (record !== undefined && record.epoch > atMost) {
      throw migrationError("OWNERSHIP_EPOCH", "this epoch, or a newer one, was seen here already", {
        expected: `an offer that is newer than: ${formatRecord(record)}`,
        found: `an offer of epoch ${epoch}`,
      });
    }
    return { machine, epoch, state: "accepted" };
  },

  release(record) {
    const { machine, epoch } = expectState(record, "owned", "release");
    return { machine, epoch, state: "released" };
  },

  own(record, epoch) {
    const { machine } = expectEpoch(expectState(record, "accepted", "own"), epoch, "own");
    return { machine, epoch, state: "owned" };
  },

  refuse(record, epoch) {
    const { machine } = expectEpoch(expectState(record, "accepted", "refuse"), epoch, "refuse");
    return { machine, epoch, state: "refused" };
  },

  takeBack(record, refusedEpoch) {
    const { machine, epoch } = expectEpoch(expectState(record, "released", "take-back"), refusedEpoch - 1, "take-back");
    return { machine, epoch: epoch + 2, state: "owned" };
  },

  answer(record, epoch) {
    if (record === undefined || record.epoch < epoch) return { answer: "unknown" };
    // Newer records exist only where this epoch was somebody's own: had it been refused, the asking side would be past it.
    if (record.epoch > epoch || record.state === "owned" || record.state === "released") return { answer: "taken" };
    if (record.state === "refused") return { answer: "never" };
    return { answer: "never", write: ownershipRules.refuse(record, epoch) };
  },
};

/**
 * The operator's claim, once the peer is known to be gone for ever: newer than anything that the peer can have had from
 * this side. `OWNERSHIP_CONFLICT` where the machine is owned already.
 */
export function claimed(record: OwnershipRecord | undefined): OwnershipRecord {
  if (record === undefined || record.state === "owned") throw refused(record, "claim");
  return { machine: record.machine, epoch: record.epoch + 2, state: "owned" };
}

function expectState(
  record: OwnershipRecord | undefined,
  state: OwnershipRecord["state"],
  step: string,
): OwnershipRecord {
  if (record?.state === state) return record;
  throw refused(record, step);
}

function expectEpoch(record: OwnershipRecord, epoch: number, step: string): OwnershipRecord {
  if (record.epoch === epoch) return record;
  throw refused(record, `${step} in epoch ${epoch}`);
}

function refused(record: OwnershipRecord | undefined, step: string) {
  return migrationError("OWNERSHIP_CONFLICT", "the ownership record does not allow this step", {
    expected: `a record that may ${step}`,
    found: formatRecord(record),
  });
}
