// The channel subsystem's section with other images than QEMU's machines have, and what is refused.
import { decodeState, encodeState, isMigrationError } from "@godwit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CssState, cssFamily, cssSection } from "../src/index.ts";

const path = fc.record({ in_use: fc.integer({ min: 0, max: 1 }), type: fc.nat(255), is_virtual: fc.nat(1) });

function stateOf(images: readonly number[], paths: { in_use: number; type: number; is_virtual: number }[]): CssState {
  return {
    pending_crws: [{ crw: { flags: 0x8404, rsid: 3 } }, { crw: { flags: 0x0100, rsid: 0xffff } }],
    sei_pending: true,
    do_crw_mchk: false,
    crws_lost: true,
    max_cssid: 255,
    max_ssid: 3,
    chnmon_active: true,
    chnmon_area: 0x30_3030_3030n,
    css: Array.from({ length: 256 }, (_, id) =>
      images.includes(id)
        ? { chpids: Array.from({ length: 256 }, (_, i) => paths[i % paths.length] as (typeof paths)[0]) }
        : null,
    ),
    default_cssid: 0,
  };
}

function sample(bytes: Uint8Array) {
  return { idstr: "s390_css", instance: 0, version: 1, bytes };
}

function answer(bytes: Uint8Array): unknown {
  try {
    return cssFamily.infer(sample(bytes));
  } catch (error) {
    return isMigrationError(error) ? `${error.code} ${error.location.path}` : error;
  }
}

describe("s390_css", () => {
  it("is found and kept for any images", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(255), { maxLength: 4 }),
        fc.array(path, { minLength: 1, maxLength: 3 }),
        (images, paths) => {
          const state = stateOf(images, paths);
          const bytes = encodeState(cssSection({ images }), state);
          expect(bytes).toHaveLength(11 + 14 + 256 + 767 * images.length + 1);
          const found = cssFamily.infer(sample(Uint8Array.of(...bytes, 0x7e, 0, 0, 0, 9)));
          expect(found.images).toEqual(images.toSorted((a, b) => a - b));
          expect(decodeState(cssFamily.build(found), bytes)).toEqual(state);
        },
      ),
      { seed: 7, numRuns: 25 },
    );
  });

  it("is refused where it is something else, or not whole", () => {
    const bytes = encodeState(cssSection({ images: [2] }), stateOf([2], [{ in_use: 1, type: 0x32, is_virtual: 1 }]));
    const changed = (at: number, value: number): Uint8Array => {
      const copy = bytes.slice();
      copy[at] = value;
      return copy;
    };
    expect(answer(bytes)).toEqual({ images: [2] });
    expect(answer(changed(10, 7))).toBe("PARAMETER_WRONG pending_crws");
    expect(answer(changed(26, 9))).toBe("PARAMETER_WRONG css[1]");
    expect(answer(bytes.subarray(0, -1))).toBe("STREAM_TRUNCATED css");
    expect(answer(bytes.subarray(0, 3))).toBe("STREAM_TRUNCATED css");
    expect(() => decodeState(cssSection({ images: [] }), bytes)).toThrow("NULL_PATTERN");
  });
});
