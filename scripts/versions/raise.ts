// Turns the pending changesets into versions and changelogs, and puts right what Changesets does not know: it raises every
// peer range to the peer's new version, which would make a plugin's next patch refuse an older core that it works with.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRepository } from "../changes/repository.ts";
import { type ChangeFinding, checkChanges } from "../changes/rule.ts";
import { writeJsrManifests } from "../jsr/write.ts";
import { peerRangeFor } from "../peer-range.ts";
import { run } from "../run.ts";
import { readWorkspaces, type Workspace } from "../workspaces.ts";

export interface Raised {
  readonly name: string;
  readonly folder: string;
  readonly from: string;
  readonly to: string;
}

/** Why no version may be raised: what `rule.ts` finds but of the wire, which is for the pull request. Nothing was changed. */
export class Refused extends Error {
  readonly findings: readonly ChangeFinding[];

  constructor(findings: readonly ChangeFinding[]) {
    super(findings.map(({ about, code, text, remedy }) => `${about}  ${code}\n  ${text}\n  ${remedy}`).join("\n"));
    this.findings = findings;
  }
}

/** `root` is a clone: changelogs name commits. What was raised is returned, nothing where nothing is pending. */
export async function raiseVersions(root: string): Promise<Raised[]> {
  const repository = readRepository(root);
  if (repository.changesets.length === 0) return [];
  const findings = checkChanges({ ...repository, present: new Map() });
  if (findings.length > 0) throw new Refused(findings);
  const before = new Map(readWorkspaces(root).map((workspace) => [workspace.folder, workspace]));
  const { exitCode, output } = await run("bun", ["--bun", "changeset", "version"], root);
  if (exitCode !== 0) throw new Error(`changeset version ended with ${exitCode}:\n${output}`);
  const after = readWorkspaces(root);
  restorePeerRanges(root, before, after);
  for (const workspace of after) tellOwnVersion(root, workspace);
  writeJsrManifests(root);
  return after.flatMap(({ folder, manifest: { name, version: to = "" } }) => {
    const from = before.get(folder)?.manifest.version ?? "";
    return from === to ? [] : [{ name, folder, from, to }];
  });
}

function restorePeerRanges(root: string, before: ReadonlyMap<string, Workspace>, after: readonly Workspace[]): void {
  const versions = new Map(after.map(({ manifest }) => [manifest.name, manifest.version]));
  for (const { folder, manifest } of after) {
    const path = join(root, folder, "package.json");
    let text = readFileSync(path, "utf8");
    for (const [name, range] of Object.entries(before.get(folder)?.manifest.peerDependencies ?? {})) {
      const version = versions.get(name);
      const moved = manifest.peerDependencies?.[name];
      if (version) text = text.replaceAll(`"${name}": "${moved}"`, `"${name}": "${peerRangeFor(range, version)}"`);
    }
    writeFileSync(path, text);
  }
}

/** Plugins tell a kernel their own version. */
function tellOwnVersion(root: string, { folder, manifest }: Workspace): void {
  const path = join(root, folder, "src", "version.ts");
  if (!existsSync(path)) return;
  writeFileSync(path, readFileSync(path, "utf8").replace(/version = ".*"/, `version = "${manifest.version}"`));
}
