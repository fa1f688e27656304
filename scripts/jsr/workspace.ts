// A Deno workspace of packages in a folder of its own, for `deno publish`: the repository's own is Bun's, and with it Deno
// would look for every platform's optional package. What they depend on is linked from what Bun installed.
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { repositoryRoot, type Workspace } from "../workspaces.ts";
import { type JsrManifest, thirdParties } from "./manifest.ts";

export interface Member {
  readonly workspace: Workspace;
  readonly jsr: JsrManifest;
}

export interface DenoWorkspace {
  readonly root: string;
  /** Removes all of it. */
  remove(): void;
}

const nodeTypes = "@types/node";

export function denoWorkspace(members: readonly Member[]): DenoWorkspace {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "godwit-jsr-")));
  const remove = () => rmSync(root, { recursive: true, force: true });
  try {
    for (const member of members) addMember(root, member);
    const workspace = members.map((one) => `./${one.workspace.folder}`);
    // Types of third parties refer to Node's; to publish needs them no more than to use them.
    writeFileSync(join(root, "package.json"), JSON.stringify({ dependencies: { [nodeTypes]: "*" } }));
    linkInstalled(repositoryRoot, root, nodeTypes);
    writeFileSync(join(root, "deno.json"), JSON.stringify({ nodeModulesDir: "manual", workspace }));
  } catch (error) {
    remove();
    throw error;
  }
  return { root, remove };
}

function addMember(root: string, { workspace, jsr }: Member): void {
  const [from, to] = [join(repositoryRoot, workspace.folder), join(root, workspace.folder)];
  mkdirSync(to, { recursive: true });
  for (const part of jsr.publish.include) {
    if (existsSync(join(from, part))) cpSync(join(from, part), join(to, part), { recursive: true });
  }
  writeFileSync(join(to, "jsr.json"), JSON.stringify(jsr));
  const dependencies = thirdParties(workspace.manifest);
  // Deno finds what is installed by the manifest beside it, and carries none of it.
  writeFileSync(
    join(to, "package.json"),
    JSON.stringify({ type: "module", dependencies: Object.fromEntries(dependencies) }),
  );
  for (const name of dependencies.keys()) linkInstalled(from, to, name);
}

function linkInstalled(from: string, to: string, name: string): void {
  const places = [from, repositoryRoot].map((folder) => join(folder, "node_modules", name));
  const installed = places.find((place) => existsSync(place));
  if (installed === undefined) throw new Error(`${name} is not installed: run bun install`);
  const link = join(to, "node_modules", name);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(realpathSync(installed), link, "dir");
}
