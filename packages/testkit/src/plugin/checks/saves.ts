// Real saves: what `exercise` left in the devices is saved, twice alike, loaded into a second machine and saved there.
import type { CheckFunction } from "../check.ts";
import { saveDifferences } from "../compare.ts";
import type { Findings } from "../findings.ts";
import { isSame, isSteady, Lab, loadInto, type Made, messageOf, type Outcome, saveWith, snapshotOf } from "../lab.ts";
import { checkUntouched } from "../untouched.ts";

/** So many machines, each driven by another seed. */
const runs = 8;

export const savesCheck: CheckFunction = async (lab, findings) => {
  await checkExercise(lab, findings);
  for (let run = 0; run < (lab.test.exercise === undefined ? 1 : runs); run++) await checkRun(lab, findings, run);
  return undefined;
};

async function checkExercise<M>(lab: Lab<M>, findings: Findings): Promise<void> {
  if (lab.test.exercise === undefined) return;
  const idle = new Lab(withoutExercise(lab));
  try {
    const [driven, fresh] = [await lab.exercised(), await idle.exercised()];
    const [a, b] = [snapshotOf(driven), snapshotOf(fresh)];
    if (a !== undefined && isSame(a, b)) findings.add("EXERCISE_IDLE");
  } finally {
    await idle.close();
  }
}

function withoutExercise<M>({ test }: Lab<M>): Lab<M>["test"] {
  const { exercise: _, ...rest } = test;
  return rest;
}

async function checkRun<M>(lab: Lab<M>, findings: Findings, run: number): Promise<void> {
  const seed = lab.seed + run;
  const when = `with seed ${seed}`;
  const source = await lab.exercised(seed);
  const save = await saveWith(findings, source, when);
  if (save === undefined) return;
  const again = await saveWith(findings, source, `${when}, once more`);
  for (const { section, path, expected, found } of again ? saveDifferences(save, again, source.bench.recorded) : []) {
    findings.add("SAVE_CHANGES_DEVICE", { section, path, text: `first ${expected}, then ${found}` });
  }
  if (!isSteady(source)) return;
  const destination = lab.make();
  await checkUntouched(findings, destination, save.bytes, when);
  const before = snapshotOf(destination);
  const outcome = await loadInto(destination, save.bytes);
  if (outcome.is !== "loaded") {
    tellFailure(findings, outcome, `${when}: a real save`);
    if (!isSame(before, snapshotOf(destination))) findings.add("MACHINE_CHANGED", { text: when });
    return;
  }
  const back = await saveWith(findings, destination, `${when}, loaded`);
  if (back === undefined) return;
  for (const { section, path, expected, found } of saveDifferences(save, back, source.bench.recorded)) {
    findings.add("STATE_LOST", { section, path, text: `saved as ${expected}, and after the load ${found} (${when})` });
  }
  if (!findings.has("STATE_LOST")) await compareGoingOn(lab, findings, source, destination, seed);
}

/** The guest goes on, here and there: what no description has shows then. */
async function compareGoingOn<M>(
  lab: Lab<M>,
  findings: Findings,
  source: Made<M>,
  destination: Made<M>,
  seed: number,
): Promise<void> {
  if (lab.test.goOn === undefined) return;
  await lab.goOn(source, seed);
  await lab.goOn(destination, seed);
  const when = `after \`goOn\` with seed ${seed}`;
  const [here, there] = [await saveWith(findings, source, when), await saveWith(findings, destination, when)];
  if (here === undefined || there === undefined) return;
  for (const { section, path, expected, found } of saveDifferences(here, there, source.bench.recorded)) {
    const text = `${expected} where it was saved, ${found} where it was loaded (${when})`;
    findings.add("STATE_HIDDEN", { section, path, text });
  }
}

function tellFailure(findings: Findings, outcome: Exclude<Outcome, { is: "loaded" }>, what: string): void {
  if (outcome.is === "failed") {
    const { code, section, cause } = outcome;
    findings.add(code, { section, text: `${what}: ${messageOf(cause)}`, cause });
    return;
  }
  const { error } = outcome;
  const { section, path } = error.location;
  findings.add("LOAD_REFUSED", { section, path, text: `${what}: ${error.message}`, cause: error });
}
