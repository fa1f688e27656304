// DMA through the unit: a device's accesses, split where pages end and joined again where they lie side by side.
import type { Dependency, View } from "@godwit/core";
import type { Translation } from "./translate.ts";

/** Guest memory, as the RAM plugin offers it. Addresses are guest-physical. `MEMORY_UNMAPPED` where there is none. */
export interface GuestMemory {
  /** A view or a copy, not to be kept. */
  read(gpa: number, length: number): Uint8Array;
  /** Marks what it writes as dirty. */
  write(gpa: number, bytes: Uint8Array): void;
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
}

interface Run {
  readonly gpa: number;
  length: number;
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

export function writeThrough(
  memory: Pick<GuestMemory, "write">,
  translate: (iova: number) => Translation,
  address: number,
  bytes: Uint8Array,
): void {
  let at = 0;
  for (const { gpa, length } of runsOf(translate, address, bytes.length)) {
    memory.write(gpa, bytes.subarray(at, at + length));
    at += length;
  }
}
