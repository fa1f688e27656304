// Where a package's module lies, as an import in a module of a folder would find it. A runtime's own `require.resolve` does
// not find packages that are for `import` alone, and `import.meta.resolve` knows no other folder than its module's.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

type Target = string | null | readonly Target[] | { readonly [condition: string]: Target };

const conditions: ReadonlySet<string> = new Set(["node", "import", "module-sync", "default"]);

/** Throws where there is none. `name`: `acme`, `@acme/devices`, `@acme/devices/nic`. */
export function packagePath(name: string, folder: string): string {
  const require = createRequire(join(folder, "index.js"));
  try {
    return importedPath(name, require.resolve.paths(name) ?? []) ?? require.resolve(name);
  } catch (error) {
    try {
      // What is installed beside this program.
      return createRequire(import.meta.url).resolve(name);
    } catch {
      throw error;
    }
  }
}

/** By the `exports` of the package; undefined where it is not there, or has none. */
function importedPath(name: string, folders: readonly string[]): string | undefined {
  const [, owner = "", inner = ""] = /^(@[^/]+\/[^/]+|[^/]+)(\/.*)?$/.exec(name) ?? [];
  for (const folder of folders) {
    const place = join(folder, owner);
    const exports = exportsOf(join(place, "package.json"));
    if (exports === undefined) continue;
    const target = targetOf(subpathOf(exports, `.${inner}`));
    return target === undefined ? undefined : join(place, target);
  }
  return undefined;
}

function exportsOf(path: string): Target | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  return (JSON.parse(text) as { readonly exports?: Target }).exports;
}

/** An object is of subpaths, or of conditions for the package itself. */
function subpathOf(exports: Target, subpath: string): Target | undefined {
  const isOfSubpaths =
    typeof exports === "object" && exports !== null && Object.keys(exports).some((key) => key.startsWith("."));
  if (isOfSubpaths) return (exports as Readonly<Record<string, Target>>)[subpath];
  return subpath === "." ? exports : undefined;
}

/** The first that holds for an import. */
function targetOf(target: Target | undefined): string | undefined {
  if (typeof target === "string" || target === undefined || target === null) return target ?? undefined;
  const rest = Array.isArray(target)
    ? target
    : Object.entries(target).flatMap(([key, one]) => (conditions.has(key) ? [one as Target] : []));
  for (const one of rest) {
    const found = targetOf(one);
    if (found !== undefined) return found;
  }
  return undefined;
}
