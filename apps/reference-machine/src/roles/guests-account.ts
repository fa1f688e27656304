// Post-copy: the page in which the guest tells how far it is must be there before its first instruction.
import type { IncomingAttempt } from "@godwit/core";
import type { RamOffer } from "@godwit/ram-dirty-tracker";
import { STATUS_BLOCK_OFFSET } from "../memory-map.ts";

type Memory = Pick<RamOffer, "blocks" | "postcopyDestination">;

/** It is waited for while the attempt can still be given up, and not when it is committed. */
export function withGuestsAccount(attempt: IncomingAttempt, memory: Memory): IncomingAttempt {
  const prepare = attempt.prepare.bind(attempt);
  attempt.prepare = async () => {
    await prepare();
    const { blocks, postcopyDestination } = memory;
    const [ram] = blocks;
    if (ram === undefined || postcopyDestination.missingPages === 0) return;
    await postcopyDestination.arrived(ram.idstr, STATUS_BLOCK_OFFSET);
  };
  return attempt;
}
