// Turns the pending changesets into versions and changelogs. Changesets also raises every peer range to the peer's new
// version, which would make a plugin's next patch refuse an older core that it works with: those are put back.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { peerRangeFor } from "./peer-range.ts";
import { run } from "./run.ts";
import { readWorkspaces, repositoryRoot } from "./workspaces.ts";

const before = new Map(readWorkspaces().map(({ folder, manifest }) => [folder, manifest]));
await runOrExit("bun", ["--bun", "changeset", "version"]);

const after = readWorkspaces();
const versions = new Map(after.map(({ manifest }) => [manifest.name, manifest.version]));
for (const { folder, manifest } of after) {
  const path = join(repositoryRoot, folder, "package.json");
  let text = readFileSync(path, "utf8");
  for (const [name, range] of Object.entries(before.get(folder)?.peerDependencies ?? {})) {
    const version = versions.get(name);
    const raised = manifest.peerDependencies?.[name];
    if (version) text = text.replaceAll(`"${name}": "${raised}"`, `"${name}": "${peerRangeFor(range, version)}"`);
  }
  writeFileSync(path, text);
}

// Plugins tell a kernel their own version.
for (const { folder, manifest } of after) {
  const path = join(repositoryRoot, folder, "src", "version.ts");
  if (!existsSync(path)) continue;
  writeFileSync(path, readFileSync(path, "utf8").replace(/version = ".*"/, `version = "${manifest.version}"`));
}

await runOrExit("bun", ["install"]);
await runOrExit("biome", ["check", "--write", "--colors=off", "packages", "plugins", "apps"]);

async function runOrExit(command: string, args: readonly string[]): Promise<void> {
  const { exitCode, output } = await run(command, args);
  process.stdout.write(output);
  if (exitCode !== 0) process.exit(exitCode);
}
