// Runs the whole suite on each runtime named (all by default); `bun scripts/matrix.ts deno node`. Its own lines are
// written so that none of them reads as the closing line of a test run.
import { run } from "./run.ts";
import { lastTally, type TallyCounts } from "./tally-line.ts";

const vitest = ["node_modules/vitest/vitest.mjs", "run"];
const commands = new Map([
  ["bun", ["bun", "--bun", ...vitest]],
  ["deno", ["deno", "run", "-A", "npm:vitest", "run"]],
  ["node", ["node", ...vitest]],
]);

const named = process.argv.slice(2);
const runtimes = named.length > 0 ? named : [...commands.keys()];
const totals = new Set<number>();

for (const runtime of runtimes) {
  const [command, ...args] = commands.get(runtime) ?? [];
  if (!command) throw new Error(`unknown runtime ${runtime}; known: ${[...commands.keys()].join(", ")}`);
  const { exitCode, output, seconds } = await run(command, args);
  const tally = lastTally(output);
  if (tally) totals.add(total(tally));
  if (exitCode !== 0 || !tally || tally.passed === 0 || tally.failed > 0) {
    process.exitCode = 1;
    process.stdout.write(output.replaceAll(/^(\d+ passed, )/gm, `${runtime} | $1`));
  }
  const counts = tally ? `passed=${tally.passed} failed=${tally.failed} skipped=${tally.skipped}` : "no closing line";
  console.log(`matrix ${runtime}: ${counts} exit=${exitCode} seconds=${seconds.toFixed(1)}`);
}

if (totals.size > 1) {
  process.exitCode = 1;
  console.log(`matrix: the runtimes did not run the same number of tests: ${[...totals].join(", ")}`);
}

function total({ passed, failed, skipped }: TallyCounts): number {
  return passed + failed + skipped;
}
