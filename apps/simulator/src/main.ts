// `bun run simulate`: one seed with its trace, or many with their counts. Exits with 1 where the guarantee did not hold.
import { parseArgs } from "node:util";
import { canaries } from "./canary.ts";
import { countsText, failureText, runSeeds } from "./run.ts";
import { warmUp } from "./warm-up.ts";
import { runSeed } from "./world.ts";

const help = `bun run simulate [--seeds N] [--from N]   N seeds (1,000), from the first one (1) on: counts of what became of them
bun run simulate --seed N                 one seed, with its whole trace
  --canary ${canaries.join("|")}   with a rule of the engine broken from outside: must be caught`;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    canary: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
const canary = canaries.find((name) => name === values.canary);
const numbers = [values.seed ?? "0", values.seeds, values.from].map(Number);

if (values.help || numbers.some((value) => !Number.isSafeInteger(value)) || canary !== values.canary) {
  console.log(help);
  process.exitCode = values.help ? 0 : 2;
} else if (values.seed !== undefined) {
  await warmUp();
  const result = await runSeed(Number(values.seed), { canary, print: (line) => console.log(line) });
  console.log(`${[...result.outcomes].join(", ")}; ${result.lines} lines, trace ${result.hash}`);
  for (const violation of result.violations) console.log(`VIOLATION: ${violation}`);
  process.exitCode = result.violations.length > 0 ? 1 : 0;
} else {
  const total = Number(values.seeds);
  let done = 0;
  const summary = await runSeeds({
    from: Number(values.from),
    seeds: total,
    canary,
    each: (result) => {
      if (result.violations.length > 0) console.log(failureText(result, canary));
      if (++done % 10_000 === 0 && done < total) console.log(`${done} of ${total} seeds`);
      return true;
    },
  });
  console.log(`${summary.seeds} seeds: ${countsText(summary.counts)}`);
  console.log(`${summary.failures.length} of them broke the guarantee`);
  process.exitCode = summary.failures.length > 0 ? 1 : 0;
}
