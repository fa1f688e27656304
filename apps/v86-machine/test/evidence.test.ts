import { describe, expect, it } from "vitest";
import { judge } from "../src/guest/evidence.ts";

/** As a guest sent them. */
const sent = [
  "00000000 1a2b3c09 00000004 00000004",
  "00000001 159e048e 00000008 00000008",
  "00000002 cf02470c 0000000c 0000000c",
  "00000003 8123866a 00000010 00000010",
  "00000004 91c33544 00000014 00000014",
];
const text = (lines: readonly string[], rest = "") => lines.map((line) => `${line}\n`).join("") + rest;
const without = (index: number) => sent.filter((_, i) => i !== index);

describe("the evidence", () => {
  it("is whole as the guest sends it", () => {
    const { lines, rest, problem } = judge(text(sent, "00000005 e1"));
    expect([lines.length, rest, problem]).toEqual([5, "00000005 e1", undefined]);
    expect(lines[4]).toEqual({ seq: 4, hash: 0x91c33544, ticks: 20, rtc: 20 });
    expect(judge("")).toEqual({ lines: [], rest: "", problem: undefined });
  });

  it.each<[string, readonly string[], string]>([
    ["a line lost", without(2), "line 2 has number 3"],
    ["the first line lost", without(0), "line 0 has number 1"],
    ["a line repeated", [...sent.slice(0, 3), ...sent.slice(2)], "line 3 has number 2"],
    ["a byte lost", [...sent.slice(0, 2), "0000002 cf02470c 0000000c 0000000c"], "line 2 is no line"],
    ["a byte repeated", [...sent.slice(0, 2), "000000002 cf02470c 0000000c 0000000c"], "line 2 is no line"],
    ["a line glued", [`${sent[0]}${sent[1]}`], "line 0 is no line"],
    ["another chain", [...sent.slice(0, 2), "00000002 cf02470d 0000000c 0000000c"], "line 2 has hash cf02470d"],
    ["ticks going back", [...sent.slice(0, 2), "00000002 cf02470c 00000007 0000000c"], "line 2 came too early"],
    ["the clock going back", [...sent.slice(0, 2), "00000002 cf02470c 0000000c 00000007"], "line 2 counts fewer"],
  ])("shows %s", (_, lines, problem) => {
    expect(judge(text(lines)).problem).toContain(problem);
  });
});
