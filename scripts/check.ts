// All static checks in turn: a line for each that passes, the whole output of each that does not.
import { run } from "./run.ts";

const turbo = (task: string) => ["turbo", "run", task, "--output-logs=errors-only", "--no-update-notifier"];
const steps = new Map([
  ["types of sources", turbo("typecheck")],
  ["types of tests, benchmarks and scripts", ["tsc"]],
  ["lint and format", ["biome", "ci", "--colors=off", "."]],
  ["package boundaries", ["bun", "scripts/check-boundaries.ts"]],
  ["dead code", ["knip", "--no-config-hints"]],
  [
    "plugins against their published descriptions",
    ["bun", "--conditions=godwit:source", "apps/cli/src/main.ts", "check", "--plugins", "docs/dumps"],
  ],
  ["changes, changesets and UPGRADING", ["bun", "--conditions=godwit:source", "scripts/changes/check.ts"]],
  ["JSR: no slow types", ["bun", "scripts/jsr/check.ts"]],
  ["build", turbo("build")],
  ["packed packages", ["bun", "scripts/check-packages.ts"]],
  ["consumers, and two copies of core", ["bun", "scripts/check-consumers.ts"]],
  ["bundlers", ["bun", "--conditions=godwit:source", "scripts/bundlers/check.ts"]],
  ["sizes", ["bun", "scripts/sizes.ts"]],
]);

let failed = 0;
for (const [name, [command = "", ...args]] of steps) {
  const { exitCode, output, seconds } = await run(command, args);
  if (exitCode !== 0) {
    failed++;
    process.stdout.write(output);
  }
  console.log(`${exitCode === 0 ? "ok" : "FAIL"}  ${name} (${seconds.toFixed(1)} s)`);
}
console.log(failed === 0 ? "check: all clean" : `check: ${failed} of ${steps.size} steps found something`);
if (failed > 0) process.exitCode = 1;
