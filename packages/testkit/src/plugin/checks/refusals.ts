// Streams that are cut off or damaged: each is refused with a MigrationError, and the machine is as before.
import { isMigrationError } from "@godwit/core";
import { describedIn } from "../../clocks/differences.ts";
import type { Members } from "../../clocks/fields.ts";
import type { CheckFunction } from "../check.ts";
import type { Findings } from "../findings.ts";
import {
  isSame,
  isSteady,
  type Lab,
  loadInto,
  type Made,
  messageOf,
  outcomeOf,
  saveWith,
  snapshotOf,
  testedOf,
} from "../lab.ts";
import { firstFields, spread, spreadOf } from "../places.ts";
import { type Parts, partsOf, type Section, streamOf } from "../sections.ts";

/** A stream of this length or less is cut at every byte, a longer one at so many: half of them where sections begin. */
const mostCuts = 8192;
const fewestCuts = 512;
/** So many cuts are also loaded from their beginning, as a machine would. */
const wholeLoads = 24;
/** So many bytes are damaged, each in all of these ways. */
const mostDamages = 100;
const fewestDamages = 24;
const fewestOfSection = 4;
const ways = [0xff, 0x01, 0x80] as const;

export const refusalsCheck: CheckFunction = async (lab, findings) => {
  const source = await lab.exercised();
  const save = await saveWith(findings, source, "after `exercise`");
  if (save === undefined) return undefined;
  const parts = partsOf(save);
  const tested = new Set(testedOf(source.bench.recorded).map(({ key }) => key));
  const stream = streamOf(parts);
  if (!isSteady(source)) return undefined;
  const bodies = bodiesOf(parts);
  await checkCuts(lab, findings, stream, bodies);
  const own = bodies.filter(({ section }) => tested.has(section.key));
  await checkDamages(lab, findings, stream, placesIn(own, describedIn(save), lab.scaled(mostDamages, fewestDamages)));
  return undefined;
};

async function checkCuts<M>(
  lab: Lab<M>,
  findings: Findings,
  stream: Uint8Array,
  bodies: readonly Body[],
): Promise<void> {
  const destination = await lab.exercised(lab.seed + 1);
  const before = snapshotOf(destination);
  cutAt(findings, destination, stream, cutsOf(stream.length, bodies, lab.scaled(mostCuts, fewestCuts)));
  for (const at of spread(stream.length, wholeLoads)) {
    const outcome = await loadInto(destination, stream.subarray(0, at));
    if (outcome.is === "failed") tellFailed(findings, outcome, `cut at byte ${at}`);
  }
  if (!isSame(before, snapshotOf(destination))) findings.add("MACHINE_CHANGED", { text: "a stream that was cut off" });
}

/** Ascending: all that are near the beginning of a section, and the others evenly. */
function cutsOf(length: number, bodies: readonly Body[], most: number): readonly number[] {
  const near = Math.floor(most / 2 / Math.max(bodies.length, 1));
  const first = bodies.flatMap(({ at, section: { body } }) =>
    spread(Math.min(body.length, near), near).map((i) => at + i),
  );
  return [...new Set([...first, ...spread(length, most - (length <= most ? 0 : first.length))])].sort((a, b) => a - b);
}

/** One attempt is fed from place to place, and a fork of it ended at each. */
function cutAt(findings: Findings, { bench }: Made<unknown>, stream: Uint8Array, cuts: readonly number[]): void {
  const attempt = bench.kernel.incoming();
  bench.forget();
  let from = 0;
  try {
    for (const at of cuts) {
      attempt.push(stream.subarray(from, at));
      from = at;
      const fork = attempt.fork();
      try {
        fork.end();
      } catch (error) {
        const outcome = outcomeOf(bench, error);
        if (outcome.is === "failed") tellFailed(findings, outcome, `cut at byte ${at}`);
      } finally {
        fork.discard();
      }
    }
  } catch (error) {
    // The whole stream is refused: `saves` says why.
    if (!isMigrationError(error)) throw error;
  } finally {
    attempt.discard();
  }
}

interface Place {
  readonly section: string;
  readonly at: number;
}

interface Body {
  readonly section: Section;
  /** Of its first byte in the stream that `streamOf` makes. */
  readonly at: number;
}

function bodiesOf({ preamble, sections }: Parts): readonly Body[] {
  let end = preamble.length;
  return sections.map((section) => {
    const { bytes, body } = section;
    const at = end + (body.byteOffset - bytes.byteOffset);
    end += bytes.length;
    return { section, at };
  });
}

/** Where a byte is worth being damaged: in each section where fields begin, and evenly in all of it. */
function placesIn(bodies: readonly Body[], described: readonly Members[], most: number): readonly Place[] {
  const share = Math.max(fewestOfSection, Math.ceil(most / Math.max(bodies.length, 1)));
  return bodies.flatMap(({ section: { key, body, phase }, at }) => {
    const members = described.find(({ name, instance_id }) => `${name}/${instance_id}` === key);
    const fields = members === undefined || phase !== "full" ? [] : firstFields(members, body.length);
    const starts = spreadOf(fields, share).map(({ start }) => start);
    const anywhere = spread(body.length, Math.max(share - starts.length, Math.ceil(share / 4)));
    const offsets = [...new Set([...starts, ...anywhere])].sort((a, b) => a - b);
    return offsets.map((offset) => ({ section: key, at: at + offset }));
  });
}

async function checkDamages<M>(
  lab: Lab<M>,
  findings: Findings,
  stream: Uint8Array,
  places: readonly Place[],
): Promise<void> {
  let destination = lab.make();
  for (const { section, at, way } of places.flatMap((place) => ways.map((way) => ({ ...place, way })))) {
    const damaged = stream.slice();
    damaged[at] = (damaged[at] as number) ^ way;
    const before = snapshotOf(destination);
    const outcome = await loadInto(destination, damaged);
    if (outcome.is === "failed") tellFailed(findings, outcome, `byte ${at} changed, in ${section}`);
    const isAsBefore = isSame(before, snapshotOf(destination));
    if (outcome.is === "refused" && !isAsBefore) {
      findings.add("MACHINE_CHANGED", { section, text: `byte ${at} changed: ${outcome.error.message}` });
    }
    // What a damaged stream left behind may be a state that no device gets into by itself.
    if (!isAsBefore) destination = lab.make();
  }
}

function tellFailed(
  findings: Findings,
  outcome: Extract<ReturnType<typeof outcomeOf>, { is: "failed" }>,
  what: string,
): void {
  const { code, section, cause } = outcome;
  findings.add(code, { section, text: `${what}: ${messageOf(cause)}`, cause });
}
