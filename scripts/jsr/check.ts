// `deno publish --dry-run` of what JSR carries: prints how many public types have to be inferred, and fails for one. With
// `--all` it counts those of the other published packages, too, and does not fail for them.
import { run } from "../run.ts";
import { readWorkspaces, type Workspace } from "../workspaces.ts";
import { carried, jsrManifest } from "./manifest.ts";
import { readPublishOutput } from "./publish-output.ts";
import { denoWorkspace } from "./workspace.ts";

const withOthers = process.argv.includes("--all");
const published = readWorkspaces().filter(({ folder, manifest }) => !manifest.private && !folder.startsWith("apps/"));
const isCarried = ({ manifest }: Workspace) => carried.includes(manifest.name);

let failed = await check(published.filter(isCarried), []);
if (withOthers) failed = (await check(published, ["--no-check"])) || failed;
if (carried.length !== published.filter(isCarried).length) failed = true;
if (failed) process.exitCode = 1;

/** Whether something is wrong. With `--no-check` the types' own errors are left out, and nothing is wrong. */
async function check(all: readonly Workspace[], options: readonly string[]): Promise<boolean> {
  const isCount = options.length > 0;
  const members = all.map((workspace) => ({
    workspace,
    jsr: jsrManifest(workspace, isCount ? () => true : undefined),
  }));
  const { root, remove } = denoWorkspace(members);
  try {
    const { exitCode, output } = await run("deno", ["publish", "--dry-run", "--allow-dirty", ...options], root);
    const found = readPublishOutput(
      output,
      all.map(({ folder }) => folder),
    );
    if (!found.isJudged) {
      process.stdout.write(output);
      console.log("jsr: something else than slow types is in the way");
      return true;
    }
    const shown = members.filter(({ workspace }) => !isCount || !isCarried(workspace));
    for (const { workspace, jsr } of shown) {
      const count = found.slowTypes.get(workspace.folder) ?? 0;
      console.log(`${isCount ? "npm:" : "jsr:"}${jsr.name}  slow types: ${count}`);
    }
    if (isCount) return false;
    const went = found.published.filter((one) => members.some(({ jsr }) => one === `${jsr.name}@${jsr.version}`));
    console.log(`jsr: ${went.length} of ${members.length} packages would be published`);
    const isBad = exitCode !== 0 || went.length !== members.length;
    if (isBad) process.stdout.write(output);
    return isBad;
  } finally {
    remove();
  }
}
