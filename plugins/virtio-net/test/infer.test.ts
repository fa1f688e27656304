// The number of queue pairs, found from what a section's bytes add up to.
import { isMigrationError } from "@godwit/core";
import type { VirtioClassFacts } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { inferNetParameters } from "../src/section.ts";

/** Class bytes up to the queue pairs, with an empty MAC table; then `rest`. */
function facts(rest: number[], more: Partial<VirtioClassFacts> = {}): VirtioClassFacts {
  const tail = Uint8Array.of(...new Array(6 + 4 + 4 + 2 + 2 + 4 + 512 + 4 + 6 + 1).fill(0), ...rest);
  return { status: 15, guestFeatures: 0, config: new Uint8Array(8), queues: [], tail, ...more };
}

const subsection = [5, 20, ...Array.from("virtio/64bit_features", (character) => character.charCodeAt(0))];
const footer = [0x7e, 0, 0, 0, 1];

function answer(of: VirtioClassFacts): unknown {
  try {
    return inferNetParameters(of).queuePairs;
  } catch (error) {
    return isMigrationError(error) ? error.code : error;
  }
}

describe("queue pairs", () => {
  it("are one where subsections or the footer follow at once", () => {
    expect(answer(facts(subsection))).toBe(1);
    expect(answer(facts(footer))).toBe(1);
    expect(answer(facts([0, 0, 0, 0, 0, 0, 1, 0xff, ...subsection], { guestFeatures: 1 << 2 }))).toBe(1);
  });

  it("are what stands there where it leads to subsections or the footer", () => {
    expect(answer(facts([0, 4, 0, 1, ...subsection]))).toBe(4);
    expect(answer(facts([0, 4, 0, 3, ...new Array(8).fill(0), ...footer]))).toBe(4);
    expect(answer(facts([0, 4, 0, 2, ...new Array(4 + 8).fill(0), ...subsection], { guestFeatures: 1 << 2 }))).toBe(4);
  });

  it("must be those of configuration space, in a little-endian guest's order or a big-endian legacy one's", () => {
    const config = (low: number, high: number): Uint8Array => Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0, low, high);
    const four = [0, 4, 0, 1, ...subsection];
    expect(answer(facts(four, { config: config(4, 0) }))).toBe(4);
    expect(answer(facts(four, { config: config(0, 4) }))).toBe(4);
    // Nobody has read it yet.
    expect(answer(facts(four, { config: config(0, 0) }))).toBe(4);
    expect(answer(facts(four, { config: config(2, 0) }))).toBe("PARAMETER_WRONG");
    expect(answer(facts(subsection, { config: config(1, 0) }))).toBe(1);
    expect(answer(facts(subsection, { config: config(4, 0) }))).toBe("PARAMETER_WRONG");
  });

  it("are not guessed", () => {
    expect(answer(facts([0, 0, 0, 1, ...subsection]))).toBe("PARAMETER_WRONG");
    expect(answer(facts([0, 4, 0, 5, ...new Array(16).fill(0), ...subsection]))).toBe("PARAMETER_WRONG");
    // The footer of a section without subsections, or 32,256 queue pairs and then the footer.
    const both = [0x7e, 0, 0, 1, 0x7e];
    expect(answer(facts(both))).toBe("PARAMETER_AMBIGUOUS");
    expect(answer(facts(both, { config: Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0, 1, 0) }))).toBe(1);
    expect(answer(facts([0, 4]))).toBe("STREAM_TRUNCATED");
    expect(answer(facts([], { tail: new Uint8Array(10) }))).toBe("STREAM_TRUNCATED");
  });
});
