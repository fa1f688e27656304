// A vitest reporter that ends the run with one plain line, `N passed, N failed, N skipped`, each test counted once.
import type { Reporter, SerializedError, TestModule } from "vitest/node";
import { formatTally, type TallyCounts } from "./tally-line.ts";

export default class Tally implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const line = formatTally(countTests(modules, unhandledErrors.length));
    process.on("exit", () => process.stdout.write(`${line}\n`));
  }
}

function countTests(modules: readonly TestModule[], unhandledErrors: number): TallyCounts {
  const counts = { passed: 0, failed: unhandledErrors, skipped: 0 };
  for (const module of modules) {
    const failedBefore = counts.failed;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === "passed" || state === "skipped") counts[state]++;
      else counts.failed++;
    }
    // A file that does not parse, or whose hooks throw, fails without a failing test of its own.
    if (module.state() === "failed" && counts.failed === failedBefore) counts.failed++;
  }
  return counts;
}
