// Compares when things fired after a load with when they should have, and names the difference.
import type { ClockCode } from "./finding.ts";

export interface FiringVerdict {
  readonly code: ClockCode;
  /** The sentence, without device and case. */
  readonly text: string;
  readonly lateNs?: bigint;
}

/** Undefined where they are the same. All are virtual nanoseconds; `loadedNs` is when the machine was loaded. */
export function compareFirings(
  expected: readonly bigint[],
  found: readonly bigint[],
  { loadedNs, untilNs }: { readonly loadedNs: bigint; readonly untilNs: bigint },
): FiringVerdict | undefined {
  if (expected.length === found.length && expected.every((at, i) => at === found[i])) return undefined;
  const first = expected[0];
  if (found.length === 0) {
    const whole = `${plural(expected.length, "firing")} should have come by ${untilNs} ns`;
    return { code: "NEVER_FIRES", text: `never fires: due at ${first} ns; ${whole}` };
  }
  const burst = count(found, loadedNs) - count(expected, loadedNs);
  if (burst > 0) {
    const due = first === undefined ? "nothing was armed" : `it was due at ${first} ns`;
    return {
      code: "FIRES_AT_ONCE",
      text: `fires at once: ${plural(burst, "firing")} at ${loadedNs} ns, right after the load; ${due}`,
    };
  }
  if (isWithin(found, expected)) {
    const lost = expected.find((at) => count(found, at) < count(expected, at));
    const missing = expected.length - found.length;
    return { code: "FIRING_LOST", text: `loses ${plural(missing, "firing")}: the first was due at ${lost} ns` };
  }
  if (isWithin(expected, found)) {
    const extra = found.find((at) => count(expected, at) < count(found, at));
    const more = found.length - expected.length;
    return {
      code: "FIRING_ADDED",
      text: `fires too often, by ${plural(more, "firing")}: the first at ${extra} ns, where nothing was due`,
    };
  }
  const at = found.findIndex((one, i) => one !== expected[i]);
  const lateNs = (found[at] as bigint) - (expected[at] ?? (expected.at(-1) as bigint));
  const late = lateNs > 0n;
  return {
    code: late ? "FIRES_LATE" : "FIRES_EARLY",
    text: `fires ${late ? "late" : "early"} by ${late ? lateNs : -lateNs} ns: at ${found[at]} ns, due at ${expected[at]} ns`,
    lateNs,
  };
}

function count(times: readonly bigint[], at: bigint): number {
  return times.filter((one) => one === at).length;
}

/** Whether `part` is what is left of `whole` when some are taken out. */
function isWithin(part: readonly bigint[], whole: readonly bigint[]): boolean {
  let at = 0;
  for (const one of whole) if (one === part[at]) at++;
  return at === part.length;
}

function plural(n: number, what: string): string {
  return n === 1 ? `1 ${what}` : `${n} ${what}s`;
}
