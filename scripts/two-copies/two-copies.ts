// Two copies of core in one tree: the application's, and one inside of a third party's package. Types and a migration.
import { appendFileSync, cpSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cells, compile, emit } from "../consumers/compile.ts";
import { runOnEach } from "../consumers/runtimes.ts";
import { entriesOf, type Installation, installInto } from "../pack.ts";

const sources = join(import.meta.dirname, "fixture");
const plugin = "acme-godwit-plugin";

interface Variant {
  readonly name: string;
  /** What the second copy's version becomes. */
  readonly version: (own: string) => string;
  /** What stands at the end of each of its modules. */
  readonly ending: string;
}

const variants: readonly Variant[] = [
  // TypeScript takes two folders of the same name and version for one package; a runtime does not.
  { name: "the same version", version: (own) => own, ending: "" },
  { name: "another version", version: (own) => own.replace(/\d+$/, (patch) => `${Number(patch) + 1}`), ending: "\n" },
];

/** What is wrong, a line each. Prints what was done. */
export async function checkTwoCopies(installation: Installation): Promise<string[]> {
  const findings: string[] = [];
  for (const [index, variant] of variants.entries()) {
    const app = await makeTree(join(installation.root, `two-copies-${index}`), installation, variant);
    for (const cell of cells.filter(({ dom }) => !dom)) {
      const compiled = await compile(app, cell, ["app/*.ts"]);
      const counts = `findings: ${compiled.findings.length}, errors to come: ${compiled.expected}`;
      console.log(`two copies, ${variant.name}, ${compiled.cell}: ${counts}`);
      findings.push(...compiled.findings.map((finding) => `two copies, ${compiled.cell}: ${finding}`));
    }
    findings.push(...(await emit(app, "app", "out")));
    for (const ran of await runOnEach(app, ["out/main.js"], "migrations: 3, forks: many, errors: 4")) {
      console.log(`two copies, ${variant.name}, ${ran.runtime}: ${ran.line}`);
      findings.push(...ran.findings);
    }
  }
  return findings;
}

/** `app` beside a package that brings its own core, and plugins that resolve to it. */
async function makeTree(root: string, installation: Installation, { version, ending }: Variant): Promise<string> {
  const [app, built] = [join(root, "app"), join(root, plugin)];
  mkdirSync(built, { recursive: true });
  mkdirSync(app, { recursive: true });
  cpSync(join(sources, "plugin"), join(built, "src"), { recursive: true });
  installInto(built, installation);
  writeFileSync(
    join(built, "package.json"),
    JSON.stringify({
      name: plugin,
      version: "0.3.0",
      type: "module",
      exports: Object.fromEntries(
        ["index", "entries"].map((name) => [
          name === "index" ? "." : `./${name}`,
          { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` },
        ]),
      ),
      dependencies: { "@godwit/core": "*" },
    }),
  );
  const second = join(built, "node_modules", "@godwit", "core");
  const manifest = JSON.parse(readFileSync(join(second, "package.json"), "utf8"));
  writeFileSync(join(second, "package.json"), JSON.stringify({ ...manifest, version: version(manifest.version) }));
  for (const path of globSync("dist/**/*.{js,d.ts}", { cwd: second })) appendFileSync(join(second, path), ending);
  const entries = installation.packages.flatMap(({ workspace }) =>
    workspace.manifest.name === "@godwit/core" ? entriesOf(workspace) : [],
  );
  const reexports = entries.map((entry, i) => `export * as entry${i} from ${JSON.stringify(entry)};\n`);
  writeFileSync(join(built, "src", "entries.ts"), reexports.join(""));
  // An older compiler's declarations, which newer ones read as well.
  const findings = await emit(built, "src", "dist", "typescript-5.4");
  if (findings.length > 0) throw new Error(`${plugin} does not compile\n${findings.join("\n")}`);

  cpSync(join(sources, "app"), join(app, "app"), { recursive: true });
  writeFileSync(join(app, "app", "entries.ts"), comparison(entries));
  const own = ["@godwit/core", "@godwit/migration", "@godwit/transport", "eventemitter3", "msgpackr", "xxhash-wasm"];
  installInto(app, installation, own);
  cpSync(built, join(app, "node_modules", plugin), { recursive: true });
  const dependencies = Object.fromEntries([...own, plugin].map((name) => [name, "*"]));
  writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", type: "module", dependencies }));
  return app;
}

/** Types that hold where all values of an entry are the same in both copies, in both directions. */
function comparison(entries: readonly string[]): string {
  // What infers a state from fields cannot be compared while these are not known; the machine uses both copies' own.
  const compared = entries.map(
    (entry, i) => `import type * as own${i} from ${JSON.stringify(entry)};
import type { entry${i} as other${i} } from "${plugin}/entries";
type Own${i} = Omit<typeof own${i}, Inferring>;
type Other${i} = Omit<typeof other${i}, Inferring>;
export const to${i}: (own: Own${i}) => Other${i} = (own) => own;
export const from${i}: (other: Other${i}) => Own${i} = (other) => other;
`,
  );
  return [`type Inferring = "capture" | "restore" | "subsection" | "vmstate";\n`, ...compared].join("");
}
