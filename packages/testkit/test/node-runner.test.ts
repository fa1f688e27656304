// Node's own runner, for real: a child process runs the sample's checks with `@godwit/testkit/node`, and fails where they do.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { checks } from "../src/index.ts";

// Beside the package's dependencies, so that the parser of the scan is found from there.
const modules = fileURLToPath(new URL("../node_modules/", import.meta.url));
let folder = "";
beforeAll(() => {
  mkdirSync(modules, { recursive: true });
  folder = mkdtempSync(join(modules, ".node-runner-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What `node --test` says of the module, bundled as Node can run it. */
async function nodeTest(name: string, url: string): Promise<{ readonly status: number | null; readonly out: string }> {
  const test = new URL(name, import.meta.url);
  const outfile = join(folder, `${url.length}.test.mjs`);
  await build({
    entryPoints: [fileURLToPath(test)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    conditions: ["godwit:source"],
    external: ["oxc-parser", "fast-check"],
    define: { "import.meta.url": JSON.stringify(new URL(url, test).href) },
    logLevel: "silent",
  });
  // A runner of ours around it is nothing that the child should report to; and Bun puts itself in the place of Node.
  const { NODE_TEST_CONTEXT: _, PATH = "", ...rest } = process.env;
  const paths = PATH.split(delimiter).filter((path) => !path.includes("bun-node"));
  const env = { ...rest, PATH: paths.join(delimiter) };
  const { status, stdout, stderr } = spawnSync("node", ["--test", "--test-reporter=tap", outfile], {
    encoding: "utf8",
    env,
  });
  return { status, out: `${stdout}${stderr}` };
}

it("passes each check, and shows why one has nothing to look at", async () => {
  const { status, out } = await nodeTest("sample-plugin/tod.node.ts", "tod.node.ts");
  for (const [name, says] of Object.entries(checks)) expect(out).toMatch(new RegExp(` ok \\d+ - ${name}: ${says}`));
  expect(out).toContain("clocks: nothing is checked, because the test has no `clocks`");
  expect(status).toBe(0);
}, 60_000);

it("fails where a check does", async () => {
  const { status, out } = await nodeTest("sample-plugin/tod.node.ts", "elsewhere/tod.node.ts");
  expect(status).toBe(1);
  expect(out).toMatch(/not ok \d+ - goldens: /);
  expect(out).toContain("GOLDEN_MISSING");
}, 60_000);
