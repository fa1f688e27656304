// The order in which sections come, and in which devices load, as far as nothing binds them: it must not matter.
import type { Dependency } from "@godwit/core";
import type { CheckFunction } from "../check.ts";
import { saveDifferences } from "../compare.ts";
import type { Findings } from "../findings.ts";
import { isSteady, type Lab, loadInto, type Made, messageOf, saveWith } from "../lab.ts";
import { type Random, randomOf } from "../random.ts";
import type { Recorded } from "../recorded.ts";
import { type Parts, partsOf, type Section, streamOf } from "../sections.ts";

/** So many machines, each driven by another seed, with two other orders each: the reversed one, and one by chance. */
const runs = 4;

export const orderCheck: CheckFunction = async (lab, findings) => {
  const { bench } = lab.make();
  if (bench.recorded.filter(isLoaded).length < 2) return "there is one device, and so one order";
  for (let run = 0; run < (lab.test.exercise === undefined ? 1 : runs); run++) await checkRun(lab, findings, run);
  return undefined;
};

async function checkRun<M>(lab: Lab<M>, findings: Findings, run: number): Promise<void> {
  const source = await lab.exercised(lab.seed + run);
  const save = await saveWith(findings, source, "after `exercise`");
  if (save === undefined) return;
  const parts = partsOf(save);
  const plain = lab.make();
  // `saves` tells of a save that is not loaded.
  if ((await loadInto(plain, streamOf(parts))).is !== "loaded") return;
  const expected = await saveWith(findings, plain, "loaded");
  if (expected === undefined || !isSteady(plain)) return;
  const { recorded } = source.bench;
  const early = new Set(recorded.flatMap(({ key, description }) => (description?.earlySetup ? [key] : [])));
  for (const random of [undefined, randomOf(lab.seed + run)]) {
    const shuffled = (all: readonly Section[]) => (random === undefined ? all.toReversed() : mixed(all, random));
    const arrived = { ...parts, sections: rearranged(parts.sections, ({ key }) => early.has(key), shuffled) };
    await compare(findings, lab.make(), arrived, expected, `sections come as ${namesOf(arrived)}`);
    const chain = loadOrder(recorded, random);
    const after = new Map(
      chain.flatMap(({ index }, n) => (n === 0 ? [] : [[index, [placeOf(chain[n - 1] as Ordered)]]])),
    );
    const what = `devices load as ${chain.map(({ key }) => key).join(", ")}`;
    await compare(findings, lab.make({ after }), parts, expected, what);
  }
}

async function compare(
  findings: Findings,
  destination: Made<unknown>,
  parts: Parts,
  expected: Parameters<typeof saveDifferences>[0],
  what: string,
): Promise<void> {
  const outcome = await loadInto(destination, streamOf(parts));
  if (outcome.is !== "loaded") {
    const cause = outcome.is === "refused" ? outcome.error : outcome.cause;
    const section = outcome.is === "refused" ? outcome.error.location.section : outcome.section;
    findings.add("ORDER_DEPENDENT", { section, text: `${what}: ${messageOf(cause)}`, cause });
    return;
  }
  const found = await saveWith(findings, destination, what);
  for (const one of found ? saveDifferences(expected, found, destination.bench.recorded) : []) {
    const { section, path } = one;
    findings.add("ORDER_DEPENDENT", { section, path, text: `${one.expected} becomes ${one.found} where ${what}` });
  }
}

/** Only what the wire allows: whole sections of devices, the clock's among them, behind iterables and early ones. */
function rearranged(
  sections: readonly Section[],
  isEarly: (section: Section) => boolean,
  shuffled: (all: readonly Section[]) => readonly Section[],
): Section[] {
  const first = sections.findLastIndex((one) => one.phase !== "full" || isEarly(one)) + 1;
  return [...sections.slice(0, first), ...shuffled(sections.slice(first))];
}

function namesOf({ sections }: Parts): string {
  return sections
    .filter(({ phase }) => phase === "full")
    .map(({ key }) => key)
    .join(", ");
}

interface Ordered extends Recorded {
  /** As the n-th it was registered. */
  readonly index: number;
}

const placeOf = ({ idstr, instance }: Recorded): Dependency => ({ idstr, instance });

/** Another order that the devices' own `after` allows: the last registered first, or by chance. */
function loadOrder(recorded: readonly Recorded[], random: Random | undefined): readonly Ordered[] {
  const waiting = recorded.map((one, index) => ({ ...one, index })).filter(isLoaded);
  const order: Ordered[] = [];
  while (waiting.length > 0) {
    const free = waiting.filter((one) => !waiting.some((other) => other !== one && waitsFor(one, other)));
    // A cycle among them: the kernel says so by itself.
    const next = (random === undefined ? free.at(-1) : free[random.int(free.length || 1)]) ?? (waiting[0] as Ordered);
    order.push(next);
    waiting.splice(waiting.indexOf(next), 1);
  }
  return order;
}

/** What is checked and loaded in the order of dependencies: devices, and the records of iterables. */
function isLoaded({ form, description }: Recorded): boolean {
  return form === "device" || (form === "iterable" && description !== undefined);
}

function waitsFor({ init: { after = [] } }: Recorded, { idstr, instance }: Recorded): boolean {
  return after.some((of) => (typeof of === "string" ? of === idstr : of.idstr === idstr && of.instance === instance));
}

function mixed<T>(all: readonly T[], random: Random): T[] {
  const list = [...all];
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}
