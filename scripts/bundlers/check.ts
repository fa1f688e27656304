// The packed packages in the hands of bundlers: every entry is bundled by esbuild, Vite and webpack for what it is made for,
// without a warning, with one core and nothing of a runtime; what is not used falls out; and the bundles run. Needs
// `bun run build`.
import { installPacked } from "../pack.ts";
import type { Bundled, Bundler } from "./bundle.ts";
import { canaryFindings } from "./canaries.ts";
import { unknownNames } from "./entries.ts";
import { findingsOf } from "./judge.ts";
import { makeProject, type Project } from "./project.ts";
import { evaluate, runPrograms } from "./running.ts";
import { esbuild } from "./with-esbuild.ts";
import { vite } from "./with-vite.ts";
import { webpack } from "./with-webpack.ts";

const bundlers: readonly Bundler[] = [esbuild, vite, webpack];

/** What a user imports alone, and the minified bytes that it may cost. */
const alone: readonly { readonly name: string; readonly text: string; readonly limitBytes: number }[] = [
  { name: "nothing", text: `import * as core from "@godwit/core"; export const one = 1;`, limitBytes: 60 },
  { name: "u8", text: `export { u8 } from "@godwit/core/vmstate";`, limitBytes: 300 },
  { name: "u8 by the main entry", text: `export { u8 } from "@godwit/core";`, limitBytes: 300 },
];

/** What is imported alone, by its size. */
async function shaken(bundler: Bundler, project: Project): Promise<string[]> {
  const jobs = alone.map(({ name, text }) => project.job(name, text));
  const bundled = await bundler.bundle({ jobs, target: "browser", external: [], minify: true });
  const found = findingsOf(bundled);
  const sizes = alone.map(({ name, limitBytes }) => {
    const files = bundled.bundles.find((bundle) => bundle.name === name)?.files ?? new Map<string, string>();
    const bytes = [...files.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    if (bytes > limitBytes) found.push(`${bundler.name}: ${name} alone is ${bytes} bytes, and may be ${limitBytes}`);
    return `${name} ${bytes}`;
  });
  console.log(`${bundler.name}, alone and minified, bytes: ${sizes.join(", ")}`);
  return found;
}

const installation = await installPacked();
try {
  const project = makeProject(installation);
  const findings = unknownNames(project.entries, project.workspaces).map(
    (name) => `bundlers/entries.ts: there is no ${name}`,
  );
  const made: Bundled[] = [];
  for (const bundler of bundlers) {
    const startMs = Date.now();
    const own: Bundled[] = [];
    for (const batch of project.batches) own.push(await bundler.bundle(batch));
    const counts = own.map(({ batch, bundles }) => `${bundles.length} for ${batch.target}`);
    console.log(`${bundler.name}: ${counts.join(", ")} (${((Date.now() - startMs) / 1000).toFixed(1)} s)`);
    made.push(...own);
    findings.push(...own.flatMap(findingsOf), ...(await shaken(bundler, project)));
  }
  findings.push(...(await evaluate(project, made)));
  findings.push(...(await runPrograms(project, bundlers)));
  findings.push(...(await canaryFindings(installation.root, bundlers)));
  for (const finding of findings) console.error(finding);
  console.log(`bundlers: ${project.entries.length} entries, findings: ${findings.length}`);
  if (findings.length > 0 || project.entries.length === 0) process.exitCode = 1;
} finally {
  installation.remove();
}
