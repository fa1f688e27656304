// Core needs no runtime: nothing of one is in its module graph, and it works under a content-security policy that
// forbids `eval`, with the same bytes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleForBrowser, type Chromium, haveChromium, openChromium, withPage } from "@godwit/test-support/chromium";
import { chromium as launcher } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accelerate } from "../src/jit.ts";
import { exercise } from "./page/exercise.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

interface PackageManifest {
  readonly exports: Readonly<Record<string, string | { readonly "godwit:source": string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
}
const { exports, dependencies } = JSON.parse(readFileSync(path("../package.json"), "utf8")) as PackageManifest;
const entries = Object.entries(exports).flatMap(([name, target]) =>
  typeof target === "string" ? [] : [[name, target["godwit:source"]] as const],
);

describe("the module graph of core", () => {
  it.each(entries)("has nothing of a runtime: %s", async (_name, source) => {
    const { modules, foreign } = await bundleForBrowser([path(`../${source}`)]);
    expect(foreign).toEqual([]);
    const packages = modules.filter((module) => module.includes("node_modules/"));
    const named = packages.map((module) => module.replace(/^.*node_modules\/((@[^/]+\/)?[^/]+)\/.*$/, "$1"));
    expect(Object.keys(dependencies)).toEqual(expect.arrayContaining(named));
    expect(modules.length).toBeGreaterThan(packages.length);
  });

  it("would be seen to have some, with a substitute or without", async () => {
    const folder = mkdtempSync(join(tmpdir(), "godwit-canary-"));
    try {
      writeFileSync(join(folder, "inner.ts"), `import { readFileSync } from "fs"; export const read = readFileSync;`);
      const outer = join(folder, "outer.ts");
      writeFileSync(
        outer,
        `import { join } from "node:path"; import { read } from "./inner.ts"; read(join("a", "b"));`,
      );
      expect((await bundleForBrowser([outer])).foreign).toEqual(["fs", "node:path"]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe.skipIf(!haveChromium())("in a page that may not evaluate text", () => {
  let chromium: Chromium;
  beforeAll(async () => {
    chromium = await openChromium(launcher);
  });
  afterAll(() => chromium?.close());

  it("core gives the same bytes as here", async () => {
    const { bytes, attempts, violations, problems } = await inPage("codec-page", 0);
    expect(bytes.length).toBeGreaterThan(300_000);
    expect(Buffer.compare(bytes, await exercise())).toBe(0);
    expect([attempts, violations, problems]).toEqual([0, [], []]);
  });

  it("core asked for generated code tries once, is refused it, and gives the same bytes without", async () => {
    const { bytes, attempts, violations, problems } = await inPage("jit-page", 1);
    expect([attempts, violations, problems]).toEqual([1, ["script-src: eval"], []]);
    accelerate();
    expect(Buffer.compare(bytes, await exercise())).toBe(0);
  });

  async function inPage(entry: string, refusals: number) {
    const problems: string[] = [];
    const { files } = await bundleForBrowser([path(`page/${entry}.ts`)]);
    const told = await withPage(
      chromium,
      { files, entry: `${entry}.js` },
      async (site) => ({
        bytes: await site.told("bytes"),
        attempts: Number(Buffer.from(await site.told("attempts")).toString()),
        violations: await site.violations(refusals),
      }),
      (problem) => problems.push(problem),
    );
    return { ...told, problems };
  }
});
