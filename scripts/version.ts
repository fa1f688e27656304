// Turns the pending changesets into versions, changelogs, dumps and tables: everything of a release but its publication. Run
// with `--conditions=godwit:source`.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";
import { type Raised, Refused, raiseVersions } from "./versions/raise.ts";
import { writeVersionsPage } from "./versions/write.ts";
import { repositoryRoot } from "./workspaces.ts";

try {
  const raised = await raiseVersions(repositoryRoot);
  for (const { name, from, to } of raised) console.log(`${name}  ${from} -> ${to}`);
  if (raised.length === 0) console.log("nothing is to be raised");
  else await finish(raised);
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(`${error.message}\nno version was raised, and nothing was written`);
  process.exitCode = 1;
}

async function finish(raised: readonly Raised[]): Promise<void> {
  await runOrExit("bun", ["install"]);
  // What a new plugin depends on.
  await runOrExit("bun", ["apps/create-godwit-plugin/test/ranges/write.ts"]);
  const dumps = ["apps/cli/src/main.ts", "check", "--plugins", "docs/dumps", "--write"];
  await runOrExit("bun", ["--conditions=godwit:source", ...dumps]);
  writeVersionsPage();
  const folders = raised.map(({ folder }) => folder);
  const files = folders.flatMap((folder) =>
    ["package.json", "CHANGELOG.md", "jsr.json"].map((file) => `${folder}/${file}`),
  );
  const there = files.filter((file) => existsSync(join(repositoryRoot, file)));
  await runOrExit("biome", ["format", "--write", "--colors=off", "docs/versions.md", ...there]);
  console.log(
    "where the wire changed: write the golden file of the new version, GODWIT_GOLDENS=write (see CONTRIBUTING.md)",
  );
}

async function runOrExit(command: string, args: readonly string[]): Promise<void> {
  const { exitCode, output } = await run(command, args);
  process.stdout.write(output);
  if (exitCode !== 0) process.exit(exitCode);
}
