// Our unit and the one of the QEMU that is here: the same steps to the same end, and each loads what the other saved.
import { decodeState } from "@godwit/core";
import { optionsFor, vtd } from "@godwit/iommu-vtd";
import { absent } from "@godwit/test-support/required";
import { describe, expect, it } from "vitest";
import { expectedOf, ourUnit, runOurs, sectionIn, summaryOf, withSection } from "./support/ours.ts";
import { qemuVersion, withQemu } from "./support/qemu.ts";
import { type Sequence, sequences, summarize } from "./support/sequences.ts";

const version = qemuVersion();
/** QEMU judges bytes, and these are the same on every runtime: it is asked once, on Bun. */
const onBun = process.versions["bun"] !== undefined;
if (!onBun) console.warn("tests with a live unit of QEMU run on Bun only; they are skipped");
const present =
  onBun &&
  (version !== undefined || absent("qemu", "no qemu-system-x86_64 on the path", "tests with a live unit of QEMU"));
/** Later ones mend some of what ours does otherwise, and record faults of interrupts. */
const isRecorded = version?.startsWith("7.2") === true;

/** What QEMU saved is loaded by us, and comes out of our unit as it went in. */
function takeOver(theirs: Uint8Array): Uint8Array {
  const target = ourUnit(optionsFor(decodeState(vtd, theirs)));
  target.kernel.restore(withSection(target.kernel.snapshot(), theirs));
  return sectionIn(target.kernel.snapshot());
}

async function runTheirs({ unit, steps }: Pick<Sequence, "unit" | "steps">) {
  return withQemu(unit, undefined, async (qemu) => {
    const events = await qemu.run(steps);
    const stream = await qemu.stream();
    return { events, stream, section: sectionIn(stream) };
  });
}

describe.skipIf(!present).concurrent("the unit of a live QEMU", () => {
  it.each(sequences.map((sequence) => [sequence.name, sequence] as const))("%s", async (_, sequence) => {
    const { unit, steps } = sequence;
    const ours = ourUnit(unit);
    const events = runOurs(ours, steps);
    const section = sectionIn(ours.kernel.snapshot());
    const theirs = await runTheirs(sequence);
    if (isRecorded) {
      expect(summaryOf(section, events)).toBe(expectedOf(sequence, summarize(theirs.section, theirs.events)));
    }
    expect(takeOver(theirs.section)).toEqual(theirs.section);
    const again = await withQemu(unit, withSection(theirs.stream, section), (qemu) => qemu.stream());
    expect(sectionIn(again)).toEqual(section);
  });
});
