// Memory that has not come yet (post-copy): how it is told of, and how a device asks for all of a request's memory.
import { isMigrationError, type MigrationError } from "@godwit/core";
import type { AbsentMemory } from "./dma.ts";
import type { VirtqueueElement } from "./element.ts";
import { descriptorBytes, type RingAddresses, type RingRules, ringBytes } from "./ring.ts";

/** A page of guest memory is not there yet: nothing has been read or written. */
export function isPageAbsent(error: unknown): error is MigrationError & { readonly code: "PAGE_ABSENT" } {
  return isMigrationError(error) && error.code === "PAGE_ABSENT";
}

/** An event suppression structure of a packed ring. Bytes. */
const eventBytes = 4;

/** `PAGE_ABSENT` where a part of the ring has not come. */
export function demandRing(memory: AbsentMemory, ring: RingAddresses, rules: RingRules & { packed: boolean }): void {
  const demand = (base: bigint, length: number, write: boolean): void => {
    // Beyond that no memory is, which the access itself finds out.
    if (base <= Number.MAX_SAFE_INTEGER) memory.demand(Number(base), length, write);
  };
  const bytes = rules.packed
    ? { desc: descriptorBytes * ring.num, avail: eventBytes, used: eventBytes }
    : ringBytes(ring.num, rules);
  demand(ring.desc, bytes.desc, rules.packed);
  demand(ring.avail, bytes.avail, false);
  demand(ring.used, bytes.used, true);
}

/** What is demanded in pieces of this is demanded page by page, whatever the guest's pages are. */
const pieceBytes = 4096;

/** All that `work` demands and that has not come, one error a page, instead of the first: what is told together is asked for together. */
export function absentIn(memory: AbsentMemory, work: (memory: AbsentMemory) => void): MigrationError[] {
  const absent: MigrationError[] = [];
  work({
    get active() {
      return memory.active;
    },
    demand(address, length, write) {
      for (let at = address; at < address + length; ) {
        const size = Math.min(address + length - at, pieceBytes - (at % pieceBytes));
        try {
          memory.demand(at, size, write);
        } catch (error) {
          if (!isPageAbsent(error)) throw error;
          absent.push(error);
        }
        at += size;
      }
    },
    whenPresent: (error) => memory.whenPresent(error),
  });
  return absent;
}

/** `PAGE_ABSENT` where a buffer has not come. */
export function demandBuffers(memory: AbsentMemory, element: VirtqueueElement): void {
  for (const { address, length } of element.out) memory.demand(address, length, false);
  for (const { address, length } of element.in) memory.demand(address, length, true);
}
