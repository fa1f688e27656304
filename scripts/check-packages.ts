// Packs each publishable workspace as a release would and judges the tarballs: manifest, publint, are-the-types-wrong,
// no top-level await, and every entry imported by Node from an installation of the tarballs. Needs `bun run build`.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { entriesOf, installPacked, type PackedPackage } from "./pack.ts";
import { run } from "./run.ts";
import { scanModule } from "./scan-module.ts";

const { root, packages, remove } = await installPacked();
try {
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
  remove();
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
  const program = entriesOf(workspace)
    .map((entry) => `await import(${JSON.stringify(entry)});`)
    .join("\n");
  const { exitCode, output } = await run("node", ["--input-type=module", "--eval", program], root);
  return exitCode === 0 ? [] : [`node cannot import it:\n${output}`];
}
