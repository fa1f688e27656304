// Ways to do the same thing take turns, so that a busy moment of the machine hits all of them; the medians.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "./median.ts";
import { writeRandomFile } from "./memory.ts";
import type { Transfer } from "./pair.ts";

export interface Way {
  readonly name: string;
  /** `file` holds the memory's content. */
  readonly run: (bytes: number, file: string) => Promise<Transfer>;
}

export interface Measured {
  readonly name: string;
  readonly gigabytesPerSecond: number;
  /** Of both sides together, for each gigabyte of memory; what a busy machine changes least. */
  readonly cpuSecondsPerGigabyte: number;
  /** Of source and destination, each at its worst moment. */
  readonly peakMiB: readonly number[];
}

const mib = 1 << 20;

export async function inTurns(ways: readonly Way[], bytes: number, runs: number): Promise<Measured[]> {
  const folder = mkdtempSync(join(tmpdir(), "godwit-bench-"));
  try {
    const file = join(folder, "memory");
    writeRandomFile(file, bytes);
    const seen = ways.map((): Transfer[] => []);
    for (let run = 0; run < runs; run++) {
      for (const [index, way] of ways.entries()) seen[index]?.push(await way.run(bytes, file));
    }
    return ways.map(({ name }, index) => {
      const all = seen[index] ?? [];
      const peak = (side: 0 | 1): number => median(all.map(({ peakBytes }) => peakBytes[side])) / mib;
      const gigabytesPerSecond = bytes / 1e6 / median(all.map(({ totalMs }) => totalMs));
      const cpuSecondsPerGigabyte = (median(all.map(({ cpuMs }) => cpuMs)) * 1e6) / bytes;
      return { name, gigabytesPerSecond, cpuSecondsPerGigabyte, peakMiB: [peak(0), peak(1)] };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
