// The closing line goes through a run's output and back.
import { describe, expect, it } from "vitest";
import { formatTally, lastTally } from "../tally-line.ts";

describe("the closing line", () => {
  it("reads back what it writes, the last of several, among other lines", () => {
    const first = formatTally({ passed: 1, failed: 2, skipped: 3 });
    const last = formatTally({ passed: 40, failed: 5, skipped: 0 });
    expect(first).toBe("1 passed, 2 failed, 3 skipped");
    expect(lastTally(`ok\n${first}\n      Tests  9 passed (9)\n${last}\nbye\n`)).toEqual({
      passed: 40,
      failed: 5,
      skipped: 0,
    });
  });

  it("is not read from a line that only holds it, nor where there is none", () => {
    expect(lastTally("bun: 1 passed, 0 failed, 0 skipped\n1 passed, 0 failed\n")).toBeUndefined();
  });
});
