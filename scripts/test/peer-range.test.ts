// A peer's minor leaves its dependents' ranges alone; its major moves them.
import { describe, expect, it } from "vitest";
import { isPeerRange, peerRangeFor } from "../peer-range.ts";

describe("a peer range", () => {
  it.each([
    [">=0.1.0 <1", true],
    [">=1.20.3 <2", true],
    ["^0.1.0", false],
    ["workspace:^", false],
    [">=0.2.0 <1.0.0-0", false],
  ])("%s is of the form: %s", (range, expected) => {
    expect(isPeerRange(range)).toBe(expected);
  });

  it.each([
    [">=0.1.0 <1", "0.1.0", ">=0.1.0 <1"],
    [">=0.1.0 <1", "0.1.7", ">=0.1.0 <1"],
    [">=0.1.0 <1", "0.12.0", ">=0.1.0 <1"],
    [">=0.1.0 <1", "1.0.0", ">=1.0.0 <2"],
    [">=1.2.3 <2", "1.3.0", ">=1.2.3 <2"],
    [">=1.2.3 <2", "2.0.1", ">=2.0.1 <3"],
    [">=1.2.3 <2", "1.2.2", ">=1.2.2 <2"],
  ])("%s with the peer at %s becomes %s", (range, version, expected) => {
    expect(peerRangeFor(range, version)).toBe(expected);
  });

  it("of another form is refused", () => {
    expect(() => peerRangeFor("^0.1.0", "0.2.0")).toThrow('"^0.1.0" is not of the form');
  });
});
