// The machine in a page of headless Chromium, under a policy that forbids `eval`; saves cross between the page and here.

import { fileURLToPath } from "node:url";
import {
  bundleForBrowser,
  type Chromium,
  haveChromium,
  openChromium,
  type PageSite,
  withPage,
} from "@godwit/test-support/chromium";
import { chromium as launcher } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Told } from "./page/machine-page.ts";
import { progress, records, runTo, saved, stand } from "./support/drive.ts";
import { startMachine } from "./support/rig.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

describe.skipIf(!haveChromium())("in a browser page", () => {
  let chromium: Chromium;
  beforeAll(async () => {
    chromium = await openChromium(launcher);
  });
  afterAll(() => chromium?.close());

  it("pauses, saves and resumes, and exchanges saves with this process", async () => {
    const bundle = await bundleForBrowser([path("page/machine-page.ts"), path("../src/cpu/worker-web.ts")]);
    expect(bundle.foreign).toEqual([]);
    await withPage(chromium, { files: bundle.files, entry: "machine-page.js" }, async (site) => {
      const source = await startMachine();
      source.kernel.resume();
      await progress(source, 30_000);
      const bytes = await saved(source.kernel);
      const loaded = await startMachine();
      await loaded.kernel.load(bytes);
      site.give("saved", bytes);

      const target = await startMachine();
      await target.kernel.load(await site.told("saved"));
      const arrived = records(target);
      target.kernel.resume();
      await progress(target, 5000);
      await stand(target);
      expect(records(target)).toBeGreaterThanOrEqual(arrived + 5000);

      const frozen = await startMachine({ hostNow: () => 0n });
      await runTo(frozen, 300_007);
      expect(Buffer.compare(await site.told("equal"), await saved(frozen.kernel))).toBe(0);

      const told = JSON.parse(Buffer.from(await site.told("done")).toString()) as Told;
      expect(told).toMatchObject({
        pauses: 500,
        recordsWhenSaved: arrived,
        recordsReceived: records(loaded),
      });
      expect(told.stops).toBeGreaterThan(12);
      expect(told.recordsAtTheEnd).toBeGreaterThanOrEqual(arrived + 5000);
      expect(told.recordsGoneOn).toBeGreaterThanOrEqual(told.recordsReceived + 5000);
      expect(await site.violations()).toEqual([]);
    });
  });

  it("would be seen to evaluate text: a page and a worker that do are refused, and reported", async () => {
    const { files } = await bundleForBrowser([path("page/eval-page.ts"), path("page/eval-worker.ts")]);
    const refused = await evaluate(files, 2);
    expect(refused.told).toEqual({ inPage: "EvalError", inWorker: "EvalError" });
    expect(refused.violations).toEqual(["script-src: eval", "script-src: eval"]);
    const allowed = await evaluate(files, 0, "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'");
    expect(allowed.told).toEqual({ inPage: "42", inWorker: "42" });
    expect(allowed.violations).toEqual([]);
  });

  it.each([
    ["throws", "throw new Error('planted')", "page error: planted"],
    ["has an error on its console", "console.error('planted')", "console: planted"],
    ["lacks a module", "import '/missing.js'", "console: Failed to load resource"],
  ])("would be heard where it %s", async (_what, text, problem) => {
    await withPage(chromium, { files: new Map([["page.js", Buffer.from(text)]]), entry: "page.js" }, async (site) => {
      await expect(site.told("anything")).rejects.toThrow(problem);
    });
  });

  async function evaluate(files: ReadonlyMap<string, Uint8Array>, refusals: number, policy?: string) {
    const init = { files, entry: "eval-page.js", ...(policy === undefined ? {} : { policy }) };
    const evaluated = async (site: PageSite) => {
      const told = JSON.parse(Buffer.from(await site.told("done")).toString()) as unknown;
      return { told, violations: await site.violations(refusals) };
    };
    return withPage(chromium, init, evaluated, () => {});
  }
});
