// Packs each publishable workspace as a release would and judges the tarballs: manifest, publint, are-the-types-wrong,
// no top-level await, and every entry imported by Node from an installation of the tarballs. Needs `bun run build`.
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { run } from "./run.ts";
import { scanModule } from "./scan-module.ts";
import { readWorkspaces, repositoryRoot, type Workspace } from "./workspaces.ts";

interface PackedPackage {
  readonly workspace: Workspace;
  readonly tarball: string;
  /** Folder of the unpacked tarball, inside the installation's `node_modules`. */
  readonly folder: string;
}

const scratch = mkdtempSync(join(tmpdir(), "godwit-packages-"));
const modules = join(scratch, "node_modules");
try {
  const workspaces = readWorkspaces().filter(({ manifest }) => !manifest.private);
  const packages: PackedPackage[] = [];
  for (const workspace of workspaces) packages.push(await pack(workspace));
  for (const each of packages) linkDependencies(each.workspace);

  const findings: string[] = [];
  for (const each of packages) {
    const found = [
      ...checkManifest(each),
      ...checkTopLevelAwait(each),
      ...(await checkWithPublint(each)),
      ...(await checkTypes(each)),
      ...(await checkImports(each)),
    ];
    findings.push(...found.map((finding) => `${each.workspace.manifest.name}: ${finding}`));
  }
  for (const finding of findings) console.error(finding);
  console.log(`packed packages: ${packages.length}, findings: ${findings.length}`);
  if (findings.length > 0 || packages.length === 0) process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true });
}

async function pack(workspace: Workspace): Promise<PackedPackage> {
  const { name } = workspace.manifest;
  const tarball = join(scratch, `${name.replace("/", "-")}.tgz`);
  await runOrThrow("bun", ["pm", "pack", "--quiet", "--filename", tarball], join(repositoryRoot, workspace.folder));
  const folder = join(modules, name);
  mkdirSync(folder, { recursive: true });
  await runOrThrow("tar", ["-xzf", tarball, "--strip-components=1", "-C", folder], scratch);
  return { workspace, tarball, folder };
}

/** Gives the installation the third-party packages that a manifest names, from the workspace's own `node_modules`. */
function linkDependencies({ folder, manifest }: Workspace): void {
  const names = Object.keys(manifest.dependencies ?? {});
  const missing = names.filter((name) => globSync(name, { cwd: modules }).length === 0);
  for (const name of missing) symlinkSync(join(repositoryRoot, folder, "node_modules", name), join(modules, name));
}

function checkManifest({ folder }: PackedPackage): string[] {
  const text = readFileSync(join(folder, "package.json"), "utf8");
  return ["workspace:", "catalog:"].filter((word) => text.includes(word)).map((word) => `package.json holds ${word}`);
}

function checkTopLevelAwait({ folder }: PackedPackage): string[] {
  const paths = globSync("dist/**/*.js", { cwd: folder });
  if (paths.length === 0) return ["dist holds no module: was it built?"];
  return paths.flatMap((path) => {
    const { topLevelAwaitLines } = scanModule(path, readFileSync(join(folder, path), "utf8"));
    return topLevelAwaitLines.map((line) => `${path}:${line}: top-level await`);
  });
}

async function checkWithPublint({ folder }: PackedPackage): Promise<string[]> {
  const { messages, pkg } = await publint({ pkgDir: folder, pack: false, level: "warning", strict: true });
  return messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false }) ?? message.code}`);
}

async function checkTypes({ tarball }: PackedPackage): Promise<string[]> {
  const { exitCode, output } = await run("attw", [tarball, "--profile", "esm-only", "--format", "ascii", "--no-emoji"]);
  return exitCode === 0 ? [] : [`are the types wrong:\n${output}`];
}

/** Node has no `godwit:source` condition here: each entry resolves to `dist`, as a user's would. */
async function checkImports({ workspace }: PackedPackage): Promise<string[]> {
  const { name, exports = {} } = workspace.manifest;
  const entries = Object.keys(exports).filter((entry) => entry !== "./package.json");
  const program = entries.map((entry) => `await import(${JSON.stringify(name + entry.slice(1))});`).join("\n");
  const { exitCode, output } = await run("node", ["--input-type=module", "--eval", program], scratch);
  return exitCode === 0 ? [] : [`node cannot import it:\n${output}`];
}

async function runOrThrow(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { exitCode, output } = await run(command, args, cwd);
  if (exitCode !== 0) throw new Error(`${command} ${args.join(" ")} in ${cwd} exited with ${exitCode}\n${output}`);
}
