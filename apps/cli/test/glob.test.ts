// Globs of sections and paths: as a regular expression would have it, in bounded time.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { globMatcher, sectionMatcher } from "../src/model/glob.ts";

const expression = (glob: string): RegExp =>
  new RegExp(
    `^${[...glob].map((char) => ({ "*": ".*", "?": "." })[char] ?? `\\u{${char.codePointAt(0)?.toString(16)}}`).join("")}$`,
    "su",
  );

describe("globs", () => {
  it("match as regular expressions of them do", () => {
    const text = (chars: string, maxLength: number) =>
      fc.array(fc.constantFrom(...chars), { maxLength }).map((all) => all.join(""));
    fc.assert(
      fc.property(text("ab*?[.", 8), text("ab[.", 10), (glob, name) => {
        expect(globMatcher(glob)(name)).toBe(expression(glob).test(name));
      }),
      { seed: 5, numRuns: 3000 },
    );
  });

  it("with many stars end at once where nothing matches", () => {
    expect(globMatcher(`${"*a".repeat(40)}b`)("a".repeat(5000))).toBe(false);
  });

  it("of sections mean an instance, or all of an idstr", () => {
    const dma = { idstr: "dma", instance: 1 };
    expect(["dma", "dma/1", "d*", "dma/0", "*/1"].map((glob) => sectionMatcher(glob)(dma))).toEqual([
      true,
      true,
      true,
      false,
      true,
    ]);
  });
});
