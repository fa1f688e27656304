// Runs every benchmark of the workspaces, one file after the other in this process; an argument keeps only the files
// whose path holds it. A benchmark file default-exports a function that prints its own table.
import { globSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./workspaces.ts";

interface Benchmark {
  readonly default: () => Promise<void>;
}

const filter = process.argv[2] ?? "";
const paths = globSync("{packages,plugins,apps}/*/bench/*.bench.ts", { cwd: repositoryRoot }).sort();
const chosen = paths.filter((path) => path.includes(filter));
if (chosen.length === 0) throw new Error(`no benchmark's path holds "${filter}"; there are: ${paths.join(" ")}`);

for (const path of chosen) {
  console.log(`\n${path}`);
  const benchmark = (await import(join(repositoryRoot, path))) as Benchmark;
  await benchmark.default();
}
