// Streams that are cut off or damaged: each is refused with a MigrationError, and the machine is as before.
import { isMigrationError } from "@godwit/core";
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
import { type Parts, partsOf, streamOf } from "../sections.ts";

/** A stream of this length or less is cut at every byte, a longer one at so many. Bytes. */
const mostCuts = 8192;
/** So many cuts are also loaded from their beginning, as a machine would. */
const wholeLoads = 24;
/** So many bytes are damaged, each in all of these ways. */
const mostDamages = 100;
const ways = [0xff, 0x01, 0x80] as const;

export const refusalsCheck: CheckFunction = async (lab, findings) => {
  const source = await lab.exercised();
  const save = await saveWith(findings, source, "after `exercise`");
  if (save === undefined) return undefined;
  const parts = partsOf(save);
  const tested = new Set(testedOf(source.bench.recorded).map(({ key }) => key));
  const stream = streamOf(parts);
  if (!isSteady(source)) return undefined;
  await checkCuts(lab, findings, stream);
  await checkDamages(lab, findings, stream, bodiesOf(parts, tested));
  return undefined;
};

async function checkCuts<M>(lab: Lab<M>, findings: Findings, stream: Uint8Array): Promise<void> {
  const destination = await lab.exercised(lab.seed + 1);
  const before = snapshotOf(destination);
  cutEverywhere(findings, destination, stream);
  for (const at of spread(stream.length, wholeLoads)) {
    const outcome = await loadInto(destination, stream.subarray(0, at));
    if (outcome.is === "failed") tellFailed(findings, outcome, `cut at byte ${at}`);
  }
  if (!isSame(before, snapshotOf(destination))) findings.add("MACHINE_CHANGED", { text: "a stream that was cut off" });
}

/** One attempt is fed byte by byte, and a fork of it ended at each place. */
function cutEverywhere(findings: Findings, { bench }: Made<unknown>, stream: Uint8Array): void {
  const attempt = bench.kernel.incoming();
  bench.forget();
  let from = 0;
  try {
    for (const at of spread(stream.length, mostCuts)) {
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

/** Where the plugin's own bytes lie in the stream that `streamOf` makes. */
function bodiesOf({ preamble, sections }: Parts, tested: ReadonlySet<string>): readonly Place[] {
  const places: Place[] = [];
  let at = preamble.length;
  for (const { key, bytes, body } of sections) {
    const first = at + (body.byteOffset - bytes.byteOffset);
    if (tested.has(key)) for (let i = 0; i < body.length; i++) places.push({ section: key, at: first + i });
    at += bytes.length;
  }
  return places;
}

async function checkDamages<M>(
  lab: Lab<M>,
  findings: Findings,
  stream: Uint8Array,
  places: readonly Place[],
): Promise<void> {
  let destination = lab.make();
  const damages = spread(places.length, mostDamages).flatMap((index) => ways.map((way) => ({ index, way })));
  for (const { index, way } of damages) {
    const { section, at } = places[index] as Place;
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

/** Up to `most` numbers from 0 to `below` - 1, evenly, ascending. */
function spread(below: number, most: number): readonly number[] {
  if (below <= most) return Array.from({ length: below }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.floor((i * below) / most));
}
