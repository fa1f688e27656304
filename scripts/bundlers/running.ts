// The bundles run: each is evaluated by Node, and a program that migrates a machine runs in Node and in a page.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { haveChromium, openChromium, withPage } from "@godwit/test-support/chromium";
import { chromium as launcher } from "playwright-core";
import { run } from "../run.ts";
import type { Bundle, Bundled, Bundler } from "./bundle.ts";
import { findingsOf } from "./judge.ts";
import type { Project } from "./project.ts";

/** What the program tells: both sides' states, the counter, the sum of memory. */
const expected = `completed, completed, 42, ${65_536 * 7}`;

/** Every bundle in Node, browsers' too: it exports what its entry does. */
export async function evaluate({ folder }: Project, made: readonly Bundled[]): Promise<string[]> {
  const list = made.flatMap(({ bundler, bundles }) =>
    bundles.map((bundle) => ({ name: bundle.name, file: write(join(folder, bundler), bundle) })),
  );
  writeFileSync(join(folder, "list.json"), JSON.stringify(list));
  // Which Node 20 has for every ES module that is required.
  const flag = "--disable-warning=ExperimentalWarning";
  const { exitCode, output } = await run("node", [flag, "evaluate.mjs", "list.json"], folder);
  if (exitCode !== 0) return [`the bundles cannot be evaluated: ${output}`];
  const results = JSON.parse(output) as readonly { readonly file: string; readonly problem?: string }[];
  console.log(`node: ${list.length} bundles evaluated, ${results.length - list.length} entries required`);
  return results.flatMap(({ file, problem }) => (problem === undefined ? [] : [`${file}: ${problem}`]));
}

/** The program by each bundler, made for browsers: in Node, and in a page. */
export async function runPrograms({ folder }: Project, bundlers: readonly Bundler[]): Promise<string[]> {
  const found: string[] = [];
  const chromium = haveChromium() ? await openChromium(launcher) : undefined;
  try {
    for (const bundler of bundlers) {
      const jobs = ["program", "page"].map((name) => ({ name, path: join(folder, `${name}.js`) }));
      const bundled = await bundler.bundle({ jobs, target: "browser", external: [], minify: true });
      found.push(...findingsOf(bundled));
      const [program, page] = bundled.bundles;
      if (program === undefined || page === undefined) continue;
      const results = [`Node: ${await inNode(write(join(folder, `program-${bundler.name}`), program))}`];
      if (chromium !== undefined) {
        const files = new Map(Array.from(page.files, ([name, text]) => [name, Buffer.from(text)]));
        const [entry = ""] = files.keys();
        const told = await withPage(chromium, { files, entry }, (site) => site.told("result"))
          .then((result) => Buffer.from(result).toString())
          .catch(String);
        results.push(`Chromium: ${told}`);
      }
      console.log(`${bundler.name}, a migration in ${results.join("; in ")}`);
      const wrong = results.filter((each) => !each.endsWith(`: ${expected}`));
      found.push(...wrong.map((each) => `${bundler.name}, in ${each}; expected ${expected}`));
    }
  } finally {
    await chromium?.close();
  }
  return found;
}

/** Gives the path of what begins. */
function write(folder: string, { files }: Bundle): string {
  for (const [file, text] of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  const [first = ""] = files.keys();
  return join(folder, first);
}

async function inNode(path: string): Promise<string> {
  const program = `const { run } = await import(${JSON.stringify(path)}); console.log(await run());`;
  return (await run("node", ["--input-type=module", "--eval", program])).output.trim();
}
