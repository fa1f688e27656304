// Two machines in one process: what is done to one must not show in the other.
import type { Save } from "../../clocks/differences.ts";
import type { CheckFunction } from "../check.ts";
import { saveDifferences } from "../compare.ts";
import type { Findings } from "../findings.ts";
import { isSteady, loadInto, type Made, saveWith } from "../lab.ts";

export const independenceCheck: CheckFunction = async (lab, findings) => {
  const [a, b] = [lab.make(), lab.make()];
  if (!isSteady(b)) return undefined;
  const idle = await saveWith(findings, b, "a fresh machine");
  await lab.exercise(a);
  await compare(findings, idle, b, "while another machine was driven");
  const save = await saveWith(findings, a, "after `exercise`");
  if (save === undefined) return undefined;

  const outcome = await loadInto(b, save.bytes);
  if (outcome.is !== "loaded") return undefined;
  await compare(findings, save, a, "while another machine loaded its save");
  const taken = await saveWith(findings, b, "loaded");
  await lab.exercise(b, lab.seed + 1);
  await compare(findings, save, a, "while the machine that had loaded its save was driven");
  const c = lab.make();
  if ((await loadInto(c, save.bytes)).is === "loaded") {
    await compare(findings, taken, c, "since another machine that had loaded the same save was driven");
  }
  return undefined;
};

async function compare(findings: Findings, before: Save | undefined, made: Made<unknown>, when: string): Promise<void> {
  const after = before && (await saveWith(findings, made, when));
  if (before === undefined || after === undefined) return;
  for (const { section, path, expected, found } of saveDifferences(before, after, made.bench.recorded)) {
    findings.add("STATE_SHARED", { section, path, text: `${expected} became ${found} ${when}` });
  }
}
