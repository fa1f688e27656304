// The closing line of a test run, as scripts/tally.ts prints it and the matrix reads it back.

export interface TallyCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function formatTally({ passed, failed, skipped }: TallyCounts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** The counts of the last closing line in a run's output; undefined where it has none. */
export function lastTally(output: string): TallyCounts | undefined {
  const last = [...output.matchAll(/^(\d+) passed, (\d+) failed, (\d+) skipped$/gm)].at(-1);
  if (!last) return undefined;
  return { passed: Number(last[1]), failed: Number(last[2]), skipped: Number(last[3]) };
}
