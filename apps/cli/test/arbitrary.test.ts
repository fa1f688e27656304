// The generated states of every description that our plugins publish are states: they encode, and decode to themselves.
import { type Description, decodeState, encodeState, type Field, sameValue, u8, u16, vmstate } from "@godwit/core";
import { gtree, qlist, qtailq } from "@godwit/qtailq-codec";
import { type ArbitraryOptions, arbitraryOf } from "@godwit/testkit/arbitrary";
import { vfioPciDevice } from "@godwit/vfio-config-subflag";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { publishedDescriptions } from "../src/check/published.ts";

const seed = 20_261_121;

/** Descriptions that have no fields, and so one state. */
const empty = new Set(["virtio-rng", "virtio-scsi"]);

/** The words of a VFIO record are markers, which its steps do not give away. */
function optionsFor({ name }: Description): ArbitraryOptions {
  if (name !== "vfio") return {};
  const device = arbitraryOf(vfioPciDevice({ configBytes: 256, msixVectors: 2 }));
  return { override: { state: () => fc.record({ sub_flag: fc.constant(3), device }) } };
}

const cases = Object.entries(publishedDescriptions).flatMap(([name, make]) =>
  make().map((description, i) => [`${name} ${i}: ${description.name}`, description] as const),
);

describe("generated states", () => {
  it.each(cases)("decode to themselves, and differ: %s", (_, description) => {
    const states = fc.sample(arbitraryOf(description, optionsFor(description)), { seed, numRuns: 60 });
    const texts = new Set<string>();
    for (const state of states) {
      const bytes = encodeState(description, state);
      expect(sameValue(decodeState(description, bytes), state)).toBe(true);
      texts.add(bytes.join());
    }
    if (Object.keys(description.fields).length > 0 && !empty.has(description.name)) {
      expect(texts.size).toBeGreaterThan(10);
    }
  });
});

describe("generated lists and trees", () => {
  const one = vmstate({ name: "one", version: 1, fields: { n: u16 } });
  const key = vmstate({ name: "key", version: 1, fields: { k: u8 } });
  interface Branch {
    n: number;
    branches: Branch[];
  }
  const branch: Description<Branch> = vmstate({
    name: "branch",
    version: 1,
    fields: { n: u8, branches: qlist<Branch>(() => branch) as Field<Branch[]> },
  });
  const deepOf = ({ branches }: Branch): number => 1 + Math.max(0, ...branches.map(deepOf));
  const description = vmstate({
    name: "lists",
    version: 1,
    fields: {
      tail: qtailq(one),
      tree: gtree({ key: "direct", value: one }),
      keyed: gtree({ key, value: one, order: (a, b) => b.k - a.k }),
      branches: qtailq<Branch>(() => branch),
    },
  });

  it("are of every length, in order, and nest a few levels deep", () => {
    const states = fc.sample(arbitraryOf(description), { seed, numRuns: 200 });
    for (const state of states) {
      expect(sameValue(decodeState(description, encodeState(description, state)), state)).toBe(true);
    }
    expect(new Set(states.map(({ tail }) => tail.length)).size).toBe(5);
    expect(new Set(states.map(({ tree }) => tree.length)).size).toBe(5);
    expect(states.some(({ keyed }) => keyed.length > 2)).toBe(true);
    const depths = states.flatMap(({ branches }) => branches.map(deepOf));
    expect(Math.max(...depths)).toBeGreaterThan(1);
    expect(Math.max(...depths)).toBeLessThan(8);
  });
});
