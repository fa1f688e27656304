// A golden file for another device: its bytes are what that device's description writes.
import { encodeState, subsection, timer, u8, vmstate } from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { renameInGolden } from "../src/golden.ts";

const clock = (name: string) =>
  vmstate({
    name,
    version: 1,
    fields: { kind: u8, alarm: timer },
    subsections: {
      held: subsection({
        name: `${name}/held`,
        version: 1,
        fields: { level: u8 },
        needed: ({ level }) => level !== 0,
        absent: { level: 0 },
      }),
    },
  });

interface Sample {
  readonly kind: number;
  readonly alarm: bigint;
  readonly level: number;
}

/** A golden file as the suite writes it, as far as names go. */
function golden(name: string, samples: readonly Sample[]): string {
  const written = samples.map(({ kind, alarm, level }) => {
    const bytes = encodeState(clock(name), { kind, alarm, held: { level } });
    return { state: { kind, level }, bytes: Buffer.from(bytes).toString("hex") };
  });
  return JSON.stringify({ plugin: "p", sections: { "clock/0": { version: 1, samples: written } } }, null, 2);
}

const sample = fc.record({
  kind: fc.constantFrom(0, 5, 10),
  alarm: fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
  level: fc.integer({ min: 0, max: 3 }),
});
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);

describe("a golden file", () => {
  it("for another name is what would have been written under it, and the way back leads there", () => {
    fc.assert(
      fc.property(name, name, fc.array(sample, { maxLength: 5 }), (from, to, samples) => {
        const renamed = renameInGolden(golden(from, samples), from, to);
        expect(renamed).toBe(golden(to, samples));
        expect(renameInGolden(renamed, to, from)).toBe(golden(from, samples));
      }),
      { seed: 7 },
    );
  });
});
