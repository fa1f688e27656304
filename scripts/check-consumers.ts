// Third parties against the packed packages: they compile, they run on Node, Bun and Deno, by `import` and by
// `require()`, two copies of core live in one tree, and the packed `godwit` command reads their machine. Needs `bun run build`.
import { checkConsumers } from "./consumers/consumers.ts";
import { installPacked } from "./pack.ts";
import { checkPackedCli } from "./packed-cli/packed-cli.ts";
import { checkTwoCopies } from "./two-copies/two-copies.ts";

const installation = await installPacked();
try {
  const findings = [
    ...(await checkConsumers(installation)),
    ...(await checkTwoCopies(installation)),
    ...(await checkPackedCli(installation)),
  ];
  for (const finding of findings) console.error(finding);
  console.log(`consumers: findings: ${findings.length}`);
  if (findings.length > 0) process.exitCode = 1;
} finally {
  installation.remove();
}
