// `bun run simulate`: one seed with its trace, or many with their counts. Exits with 1 where the guarantee did not hold.
import { helpText, type Options, parseOptions, UsageError } from "./options.ts";
import { countsText, failureText, runSeeds } from "./run.ts";
import { warmUp } from "./warm-up.ts";
import { runSeed } from "./world.ts";

async function simulate(options: Options): Promise<number> {
  if (options.what === "help") {
    console.log(helpText);
    return 0;
  }
  const { canary } = options;
  if (options.what === "seed") {
    await warmUp();
    const result = await runSeed(options.seed, { canary, print: (line) => console.log(line) });
    console.log(`${[...result.outcomes].join(", ")}; ${result.lines} lines, trace ${result.hash}`);
    for (const violation of result.violations) console.log(`VIOLATION: ${violation}`);
    return result.violations.length > 0 ? 1 : 0;
  }
  let done = 0;
  const { seeds, counts, failed } = await runSeeds({
    ...options,
    each: (result) => {
      if (result.violations.length > 0) console.log(failureText(result, canary));
      if (++done % 10_000 === 0 && done < options.seeds) console.log(`${done} of ${options.seeds} seeds`);
      return true;
    },
  });
  console.log(`${seeds} seeds: ${countsText(counts)}`);
  console.log(`${failed} of them broke the guarantee`);
  return failed > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  try {
    return await simulate(parseOptions(process.argv.slice(2)));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\nSee --help.`);
    return 2;
  }
}

process.exitCode = await main();
