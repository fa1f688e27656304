// Builds what is published as a user's bundler would, and prints the sizes. `--write` writes packages/core/SIZES.md and the
// line of each plugin's README; without it, the exit code is 1 where one of them is off by more than 2%. With it or without, the exit code is 1 where an entry is
// beyond its limit or its ceiling, and nothing is written.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { run } from "./run.ts";
import { sizeLine, sizeLineFinding, withSizeLine } from "./size-line.ts";
import { excesses, findings, type Part, partsOf, readSizes, type Size, sizesText, tableText } from "./size-table.ts";
import { readWorkspaces, repositoryRoot } from "./workspaces.ts";

const tablePath = join(repositoryRoot, "packages/core/SIZES.md");

/** Gzipped bytes that an entry may have at most. */
const limits: Readonly<Record<string, number>> = { "@godwit/core/vmstate": 5000 };
const goals: Readonly<Record<string, number>> = { createKernel: 12_000 };
/** A ratchet, 3% above what was measured when it was set. To be lowered with the size, and raised only with a reason. */
const ceilings: Readonly<Record<string, number>> = { "@godwit/core": 37_300, createKernel: 31_400 };

/** What a user writes, and pays. */
const uses: Readonly<Record<string, string>> = {
  createKernel: `export { createKernel } from "@godwit/core";`,
  "a machine of one device": `
    import { array, createKernel, u8, u32, virtualClock, vmstate } from "@godwit/core";
    const uart = vmstate({ name: "uart", version: 1, fields: { lcr: u8, divisor: u32, fifo: array(u8, 16) } });
    export function machine(own, hostNow) {
      const kernel = createKernel({ machineType: "m", clock: virtualClock(hostNow), machine: own });
      kernel.device(uart, { save: () => own.uart, load: (state) => { own.uart = state; } });
      return kernel;
    }`,
  "descriptions alone": `
    import { array, subsection, u8, u32, vmstate } from "@godwit/core/vmstate";
    export const uart = vmstate({
      name: "uart", version: 1, fields: { lcr: u8, divisor: u32, fifo: array(u8, 16) },
      subsections: { t: subsection({ name: "uart/t", version: 1, fields: { x: u8 }, absent: { x: 0 } }) },
    });`,
  "encodeState, decodeState": `export { decodeState, encodeState } from "@godwit/core/codec";`,
};

/** Dependencies that are programs of the machine, which no bundle holds. */
const native = ["oxc-parser", "@oxc-parser"];

/** Where each entry of a published package has its source. */
const sources = new Map<string, string>();

interface Measured extends Size {
  readonly parts: readonly Part[];
}

/** What the module `text` becomes, which imports entries by their names. */
async function measure(entry: string, text: string, external: readonly string[]): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "godwit-sizes-"));
  try {
    const path = join(folder, "entry.js");
    writeFileSync(
      path,
      text.replace(/from "([^"]+)"/g, (_, name: string) => `from ${JSON.stringify(sources.get(name))}`),
    );
    const bundle = join(folder, "bundle.js");
    const metafile = join(folder, "metafile.json");
    const flags = [
      "--minify",
      "--target=browser",
      "--conditions=godwit:source",
      `--outfile=${bundle}`,
      `--metafile=${metafile}`,
    ];
    const { exitCode, output } = await run("bun", [
      "build",
      path,
      ...flags,
      ...external.map((one) => `--external=${one}`),
    ]);
    if (exitCode !== 0) throw new Error(output);
    const bytes = readFileSync(bundle);
    const gzippedBytes = gzipSync(bytes, { level: 9 }).length;
    return {
      entry,
      minifiedBytes: bytes.length,
      gzippedBytes,
      limitBytes: limits[entry],
      ceilingBytes: ceilings[entry],
      goalBytes: goals[entry],
      parts: partsOf(JSON.parse(readFileSync(metafile, "utf8")), gzippedBytes),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const bunVersion = process.versions.bun;
if (bunVersion === undefined) throw new Error("other runtimes' zlib gives other figures: bun scripts/sizes.ts");

const readmeOf = (folder: string): string => join(repositoryRoot, folder, "README.md");
const sizes: Measured[] = [];
/** Each plugin's own entries, by its folder. */
const plugins = new Map<string, { readonly name: string; readonly sizes: Measured[] }>();
for (const { folder, manifest } of readWorkspaces()) {
  if (manifest.private) continue;
  const own = Object.keys(manifest.dependencies ?? {}).filter((name) => name.startsWith("@godwit/"));
  const others = [...Object.keys(manifest.peerDependencies ?? {}), ...own, ...native];
  // The runtime brings its own modules.
  const external = [...others.flatMap((name) => [name, `${name}/*`]), "node:*"];
  for (const [subPath, target] of Object.entries(manifest.exports ?? {})) {
    if (typeof target === "string") continue;
    const entry = manifest.name + subPath.slice(1);
    sources.set(entry, join(repositoryRoot, folder, (target as Record<string, string>)["godwit:source"] ?? ""));
    const size = await measure(entry, `export * from "${entry}";`, external);
    sizes.push(size);
    if (!folder.startsWith("plugins/")) continue;
    const plugin = plugins.get(folder) ?? { name: manifest.name, sizes: [] };
    plugin.sizes.push(size);
    plugins.set(folder, plugin);
  }
}
for (const [entry, text] of Object.entries(uses)) sizes.push(await measure(entry, text, []));

const beyond = excesses(sizes);
const parts = sizes.find(({ entry }) => entry === "createKernel")?.parts ?? [];
let wrong = beyond;
if (!process.argv.includes("--write")) {
  console.log(tableText(sizes));
  wrong = [
    ...findings(readSizes(readFileSync(tablePath, "utf8")), sizes),
    ...[...plugins].flatMap(
      ([folder, { name, sizes: own }]) => sizeLineFinding(readFileSync(readmeOf(folder), "utf8"), name, own) ?? [],
    ),
  ];
} else if (beyond.length === 0) {
  writeFileSync(tablePath, sizesText(sizes, parts, `Bun ${bunVersion}`));
  console.log(`wrote ${sizes.length} rows`);
  for (const [folder, { name, sizes: own }] of plugins) {
    const path = readmeOf(folder);
    const readme = withSizeLine(readFileSync(path, "utf8"), sizeLine(name, own, "../../packages/core/SIZES.md"));
    if (readme === undefined) wrong = [...wrong, `${name}: its README has no line that begins with "Size"`];
    else writeFileSync(path, readme);
  }
}
for (const finding of wrong) console.error(finding);
if (wrong.length > 0) process.exitCode = 1;
