// Modules bundled for a browser by `bun build`, and what their module graph reaches outside of it.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface BrowserBundle {
  /** Scripts by their names: `page.ts` has become `page.js`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Every module of the graph, as a path. */
  readonly modules: readonly string[];
  /** What a browser does not have: modules of a runtime, even where the bundler has a substitute, and bare imports. */
  readonly foreign: readonly string[];
}

interface Metafile {
  readonly inputs: Readonly<
    Record<string, { readonly imports: readonly { readonly path: string; readonly external?: boolean }[] }>
  >;
}

const repositoryRoot = fileURLToPath(new URL("../../../", import.meta.url));

/** Bundles each entry, a module's path, by itself; sources of this repository are read as such. */
export async function bundleForBrowser(entries: readonly string[]): Promise<BrowserBundle> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-bundle-"));
  try {
    const metafile = join(folder, "metafile.json");
    await bunBuild([
      ...entries,
      "--target=browser",
      "--conditions=godwit:source",
      "--entry-naming=[name].[ext]",
      `--outdir=${folder}`,
      `--metafile=${metafile}`,
    ]);
    const graph = JSON.parse(await readFile(metafile, "utf8")) as Metafile;
    const scripts = (await readdir(folder)).filter((name) => name.endsWith(".js"));
    const files = new Map<string, Uint8Array>();
    for (const name of scripts) files.set(basename(name), await readFile(join(folder, name)));
    return { files, modules: Object.keys(graph.inputs), foreign: foreignOf(graph) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function foreignOf({ inputs }: Metafile): string[] {
  const isForeign = (path: string) => isBuiltin(path) || /^(bun|node|deno):/.test(path);
  const modules = Object.keys(inputs).filter(isForeign);
  // "External" by a relative path is a re-export that nobody uses: the bundler has not opened that module.
  const imports = Object.values(inputs).flatMap(({ imports: own }) =>
    own.filter(({ path, external }) => isForeign(path) || (external === true && !path.startsWith("."))),
  );
  return [...new Set([...modules, ...imports.map(({ path }) => path)])].sort();
}

async function bunBuild(args: readonly string[]): Promise<void> {
  const child = spawn(join(repositoryRoot, "node_modules/.bin/bun"), ["build", ...args], { cwd: repositoryRoot });
  let told = "";
  child.stdout.on("data", (chunk) => (told += chunk));
  child.stderr.on("data", (chunk) => (told += chunk));
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) throw new Error(`bun build ended with ${code}: ${told}`);
}
