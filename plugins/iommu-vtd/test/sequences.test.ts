// Our unit against QEMU's: the same steps lead to the same section, byte for byte, and to the same interrupts.
// `support/qemu-7.2.json` holds what QEMU 7.2 came to; live.test.ts takes the same steps on the QEMU that is there.
import { readFileSync } from "node:fs";
import { isMigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { expectedOf, ourUnit, runOurs, sectionIn, summaryOf } from "./support/ours.ts";
import { sequences } from "./support/sequences.ts";

const recorded: Record<string, string> = JSON.parse(
  readFileSync(new URL("support/qemu-7.2.json", import.meta.url), "utf8"),
);

describe("the unit ends where QEMU's ends", () => {
  it("for each sequence that was recorded", () => {
    expect(sequences.map(({ name }) => name)).toEqual(Object.keys(recorded));
  });

  it.each(sequences.map((sequence) => [sequence.name, sequence] as const))("%s", (name, sequence) => {
    const unit = ourUnit(sequence.unit);
    const events = runOurs(unit, sequence.steps);
    const section = sectionIn(unit.kernel.snapshot());
    expect(summaryOf(section, events)).toBe(expectedOf(sequence, recorded[name] as string));
  });
});

describe("every end of a sequence", () => {
  it("is a state that loads, and is saved again as it was", () => {
    for (const { unit, steps } of sequences) {
      const [source, target] = [ourUnit(unit), ourUnit(unit)];
      runOurs(source, steps);
      try {
        target.kernel.restore(source.kernel.snapshot());
      } catch (error) {
        throw isMigrationError(error) ? new Error(JSON.stringify(error)) : error;
      }
      expect(sectionIn(target.kernel.snapshot())).toEqual(sectionIn(source.kernel.snapshot()));
    }
  });
});
