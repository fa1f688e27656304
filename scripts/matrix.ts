// Runs the suite on each runtime named (all by default): `bun scripts/matrix.ts deno:edge node`. With `:edge` only what
// touches a runtime runs there: kernel and plugins use the language alone, and another runtime of the same engine shows
// nothing new of them. Its own lines are written so that none of them reads as the closing line of a test run.
import { run } from "./run.ts";
import { lastTally, type TallyCounts } from "./tally-line.ts";

// One process for all files: half the time. That no file needs another's leftovers is seen on Bun, where each has its own.
const together = "--no-isolate";
const vitest = ["node_modules/vitest/vitest.mjs", "run"];
const commands = new Map([
  ["bun", ["bun", "--bun", ...vitest]],
  ["deno", ["deno", "run", "-A", "npm:vitest", "run", together]],
  ["node", ["node", ...vitest, together]],
]);

/** Whatever may import what a runtime gives. */
const edge = [
  "packages/transport",
  "packages/migration",
  "packages/testkit",
  "packages/test-support",
  "apps",
  "scripts",
];

const named = process.argv.slice(2);
const runtimes = named.length > 0 ? named : [...commands.keys()];
const totals = new Set<number>();

for (const name of runtimes) {
  const [runtime = "", part] = name.split(":");
  const [command, ...args] = commands.get(runtime) ?? [];
  if (!command || (part !== undefined && part !== "edge"))
    throw new Error(`unknown runtime ${name}; known: ${[...commands.keys()].join(", ")}`);
  const { exitCode, output, seconds } = await run(command, part === undefined ? args : [...args, ...edge]);
  const tally = lastTally(output);
  if (tally && part === undefined) totals.add(total(tally));
  if (exitCode !== 0 || !tally || tally.passed === 0 || tally.failed > 0) {
    process.exitCode = 1;
    process.stdout.write(output.replaceAll(/^(\d+ passed, )/gm, `${runtime} | $1`));
  }
  const counts = tally ? `passed=${tally.passed} failed=${tally.failed} skipped=${tally.skipped}` : "no closing line";
  console.log(`matrix ${name}: ${counts} exit=${exitCode} seconds=${seconds.toFixed(1)}`);
}

if (totals.size > 1) {
  process.exitCode = 1;
  console.log(`matrix: the runtimes did not run the same number of tests: ${[...totals].join(", ")}`);
}

function total({ passed, failed, skipped }: TallyCounts): number {
  return passed + failed + skipped;
}
