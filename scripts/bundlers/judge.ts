// What is wrong with what a bundler made.
import { isBuiltin } from "node:module";
import { posix, sep } from "node:path";
import { scanModule } from "../scan-module.ts";
import type { Batch, Bundle, Bundled } from "./bundle.ts";

/** Every copy of core has this once: it marks the errors that all copies recognise. */
const mark = "godwit.MigrationError";

/** One line each, by which bundler and of which entry. */
export function findingsOf({ bundler, batch, bundles, complaints }: Bundled): string[] {
  const made = new Set(bundles.map(({ name }) => name));
  const missing = complaints.length > 0 ? [] : batch.jobs.filter(({ name }) => !made.has(name));
  return [
    ...complaints,
    ...missing.map(({ name }) => `${name}: there is no output`),
    ...bundles.flatMap((bundle) => bundleFindings(bundle, batch).map((finding) => `${bundle.name}: ${finding}`)),
  ].map((finding) => `${bundler}, for ${batch.target}: ${finding}`);
}

function bundleFindings({ files, modules }: Bundle, { target, external }: Batch): string[] {
  const found: string[] = [];
  if (modules.length === 0) found.push("it is of no modules");
  const folders = new Set(modules.flatMap((path) => coreFolder(path) ?? []));
  if (folders.size > 1) found.push(`there are ${folders.size} copies of core: ${[...folders].join(", ")}`);
  const marks = [...files.values()].join("\n").split(mark).length - 1;
  if (marks > 1) found.push(`there are ${marks} copies of core in the output`);
  for (const [name, text] of files) {
    for (const { specifier } of scanModule(name, text).imports) {
      if (specifier.startsWith(".") && files.has(posix.join(posix.dirname(name), specifier))) continue;
      const isOutside = target === "node" && (isBuiltin(specifier) || external.includes(specifier));
      if (!isOutside) found.push(`the output imports "${specifier}"`);
    }
  }
  return found;
}

/** The folder of the package @godwit/core that a module belongs to. */
function coreFolder(path: string): string | undefined {
  const folder = `${sep}node_modules${sep}@godwit${sep}core${sep}`;
  const at = path.lastIndexOf(folder);
  return at < 0 ? undefined : path.slice(0, at + folder.length - 1);
}
