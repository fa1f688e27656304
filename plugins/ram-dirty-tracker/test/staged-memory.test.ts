// What an attempt has staged, looked at from within: what a discard does, however often it is said.
import { describe, expect, it } from "vitest";
import { receiveTally, StagedMemory } from "../src/staged-memory.ts";
import { page, testBlock } from "./support/rig.ts";

describe("a discard", () => {
  it("is of the pages that have come, and does nothing a second time", () => {
    const { block } = testBlock("mach.ram", 64 * page, { map: [{ gpa: 0, offset: 0, length: 64 * page }] });
    const tally = receiveTally();
    const memory = new StagedMemory([block], page, tally, {});
    const [staged] = memory.blocks;
    if (staged === undefined) throw new Error("no block");
    memory.listComplete(new Map([[staged.idstr, staged]]));
    for (const at of [3, 4, 9]) memory.fill(staged, at * page, 0xaa);
    const filled: [number, number][] = [];
    const bytes = memory.bytesOf(staged);
    const { fill } = bytes;
    bytes.fill = (value, from = 0, to = 0) => {
      filled.push([from / page, to / page]);
      return fill.call(bytes, value, from, to);
    };
    const everything = [{ start: 0, length: 64 * page }];
    memory.discard("mach.ram", [{ start: 4 * page, length: 5 * page }]);
    expect([filled.splice(0), tally.arrivedPages]).toEqual([[[4, 5]], 2]);
    memory.discard("mach.ram", everything);
    expect([filled.splice(0), tally.arrivedPages]).toEqual([
      [
        [3, 4],
        [9, 10],
      ],
      0,
    ]);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    memory.discard("mach.ram", [...everything, ...everything]);
    expect(filled).toEqual([]);
  });
});
