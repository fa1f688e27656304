// Publishes to JSR what JSR carries and does not have yet in this version. In a workflow that may ask for an identity
// token nothing else is needed, and Deno adds the provenance.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { repositoryRoot } from "../workspaces.ts";
import { carriedWorkspaces, jsrManifest } from "./manifest.ts";
import { denoWorkspace } from "./workspace.ts";

const members = carriedWorkspaces().map((workspace) => ({ workspace, jsr: jsrManifest(workspace) }));
const { root, remove } = denoWorkspace(members);
try {
  const deno = join(repositoryRoot, "node_modules", ".bin", "deno");
  // The folder is no clone, so that nothing of it is committed; the workflow's own clone is clean.
  const { status } = spawnSync(deno, ["publish", "--allow-dirty", ...process.argv.slice(2)], {
    cwd: root,
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
} finally {
  remove();
}
