// DMA through the unit: a device's accesses, split where pages end and joined again where they lie side by side.
import type { Dependency, MigrationError, View } from "@godwit/core";
import type { Translation } from "./translate.ts";

/** Guest memory, as the RAM plugin offers it. Addresses are guest-physical. `MEMORY_UNMAPPED` where there is none. */
export interface GuestMemory {
  /** A view or a copy, not to be kept. */
  read(gpa: number, length: number): Uint8Array;
  /** Marks what it writes as dirty. */
  write(gpa: number, bytes: Uint8Array): void;
}

/** Memory of which pages may still be on their way (post-copy): `read` and `write` throw `PAGE_ABSENT` before they act. */
export interface AbsentMemory {
  /** Some page is absent. */
  readonly active: boolean;
  /** `PAGE_ABSENT` where a page of the range is; an address that leads nowhere is not told of. */
  demand(address: number, length: number, write: boolean): void;
  /** Resolves when the page that the error names is there. */
  whenPresent(error: MigrationError): Promise<void>;
}

/** What a device reads and writes through. Addresses are the device's own. `TRANSLATION_FAULT`, `MEMORY_UNMAPPED`. */
export interface Dma {
  /** What a device that uses this must be checked and loaded after. */
  readonly after: readonly Dependency[];
  /** A view or a copy, not to be kept. */
  read(address: number, length: number): Uint8Array;
  /** Every page is translated before the first byte is written, so a fault leaves memory as it was. */
  write(address: number, bytes: Uint8Array): void;
  /** Reads as the incoming state translates, from the memory that arrived: for a device's `check`. */
  staged(view: View): { read(address: number, length: number): Uint8Array };
  /** Without it, memory is always there. Demanded with an address goes what the unit reads to translate it. */
  readonly postcopy?: AbsentMemory;
}

interface Run {
  readonly gpa: number;
  length: number;
}

/** The memory behind `translate`, demanded: of a range that does not translate, the pages before that. */
export function demandThrough(
  postcopy: AbsentMemory,
  translate: (iova: number) => Translation | undefined,
  address: number,
  length: number,
  write: boolean,
): void {
  for (let done = 0; done < length; ) {
    const iova = address + done;
    const found = translate(iova);
    if (found === undefined) return;
    const size = Math.min(length - done, found.pageBytes - (iova % found.pageBytes));
    postcopy.demand(found.gpa, size, write);
    done += size;
  }
}

/** The pieces of guest memory that a device's range lies in, in order. */
function runsOf(translate: (iova: number) => Translation, address: number, length: number): Run[] {
  const runs: Run[] = [];
  for (let done = 0; done < length; ) {
    const iova = address + done;
    const { gpa, pageBytes } = translate(iova);
    const size = Math.min(length - done, pageBytes - (iova % pageBytes));
    const last = runs.at(-1);
    if (last !== undefined && last.gpa + last.length === gpa) last.length += size;
    else runs.push({ gpa, length: size });
    done += size;
  }
  return runs;
}

export function readThrough(
  memory: Pick<GuestMemory, "read">,
  translate: (iova: number) => Translation,
  address: number,
  length: number,
): Uint8Array {
  const runs = runsOf(translate, address, length);
  const [only] = runs;
  if (only !== undefined && runs.length === 1) return memory.read(only.gpa, only.length);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const { gpa, length: size } of runs) {
    bytes.set(memory.read(gpa, size), at);
    at += size;
  }
  return bytes;
}

/** `postcopy`: of the memory. All pages are there before the first byte is written. */
export function writeThrough(
  memory: Pick<GuestMemory, "write">,
  translate: (iova: number) => Translation,
  address: number,
  bytes: Uint8Array,
  postcopy?: AbsentMemory,
): void {
  let at = 0;
  const runs = runsOf(translate, address, bytes.length);
  if (postcopy?.active) for (const { gpa, length } of runs) postcopy.demand(gpa, length, true);
  for (const { gpa, length } of runs) {
    memory.write(gpa, bytes.subarray(at, at + length));
    at += length;
  }
}
