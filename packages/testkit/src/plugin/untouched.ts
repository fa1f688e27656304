// A stream is decoded and checked, and then thrown away: no device may have noticed.
import { saveDifferences } from "./compare.ts";
import type { Findings } from "./findings.ts";
import { isSame, isSteady, type Made, prepareOnly, saveWith, snapshotOf } from "./lab.ts";

export async function checkUntouched(
  findings: Findings,
  made: Made<unknown>,
  stream: Uint8Array,
  when: string,
): Promise<void> {
  const { bench } = made;
  const before = snapshotOf(made);
  if (before === undefined || !isSteady(made)) return;
  const whole = await saveWith(findings, made, when);
  bench.forget();
  await prepareOnly(made, stream);
  for (const section of bench.calls.wroteTo) findings.add("CHECK_CHANGES_STATE", { section, text: when });
  if (isSame(before, snapshotOf(made)) || whole === undefined) return;
  const after = await saveWith(findings, made, when);
  const differences = after ? saveDifferences(whole, after, bench.recorded) : [];
  for (const { section, path, expected, found } of differences) {
    findings.add("CHECK_CHANGES_DEVICE", { section, path, text: `it was ${expected}, and is ${found} (${when})` });
  }
}
