// The site as people see it: built once, opened from the disk in headless Chromium, on a screen and on a phone.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromiumPath, haveChromium } from "@godwit/test-support/chromium";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addressOf, firstPage, pageGroups } from "../src/pages.ts";
import { root } from "./support/blocks.ts";
import { brokenLinks, builtSite, htmlFiles, outsideFetches } from "./support/site.ts";

/** A build takes half a minute, and is the same on every runtime. */
function isBun(): boolean {
  if (process.versions["bun"] !== undefined) return true;
  console.warn("the site is the same on every runtime; its tests are skipped but on Bun");
  return false;
}

const written = pageGroups.flatMap(({ files }) => files);
const guides = written.filter((path) => /^docs\/guides\/|^docs\/releases/.test(path));
const opened = [
  ...[firstPage, ...guides, "docs/errors.md", "docs/cli.md", "docs/live-migration.md"].map(
    (path) => `${addressOf(path)}.html`,
  ),
  "modules/_godwit_core.html",
  "interfaces/_godwit_core.DeviceInit.html",
  "variables/_godwit_core.errorCodes.html",
];
const widths = [1280, 390];

it("offers every page of docs", () => {
  const pages = ["docs", "docs/guides"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  );
  expect([...written, firstPage].filter((path) => path.startsWith("docs/")).sort()).toEqual(pages.sort());
  const first = readFileSync(join(root, firstPage), "utf8");
  for (const path of guides) expect(first).toContain(`](${path.slice("docs/".length)})`);
});

describe.skipIf(!isBun() || !haveChromium())("the site", () => {
  let folder = "";
  let browser: Browser;
  beforeAll(async () => {
    folder = await builtSite();
    browser = await chromium.launch({
      executablePath: chromiumPath() as string,
      headless: true,
      chromiumSandbox: process.getuid?.() !== 0,
      args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"],
    });
  }, 600_000);
  afterAll(async () => {
    await browser?.close();
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  });

  /** Opens a page of the site, and gives what went wrong while `look` looked at it. */
  async function withPage(address: string, width: number, look: (page: Page) => Promise<void>): Promise<string[]> {
    const problems: string[] = [];
    const page = await browser.newPage({ viewport: { width, height: 844 } });
    page.on("console", (message) => message.type() === "error" && problems.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => problems.push(`thrown: ${error.message}`));
    page.on("requestfailed", (request) => problems.push(`failed: ${request.url()}`));
    page.on("request", (request) => {
      if (!/^(file|data|blob):/.test(request.url())) problems.push(`fetched: ${request.url()}`);
    });
    try {
      await page.goto(pathToFileURL(join(folder, address)).href);
      await page.locator("#tsd-nav-container li a").first().waitFor({ state: "attached" });
      await look(page);
    } finally {
      await page.close();
    }
    return problems;
  }

  it("has a page for every export, and fetches nothing from elsewhere", () => {
    expect(htmlFiles(folder).length).toBeGreaterThan(900);
    expect(outsideFetches(folder)).toEqual([]);
  });

  it("has no link that leads nowhere", () => {
    const { broken, followed } = brokenLinks(folder);
    expect(followed).toBeGreaterThan(10_000);
    expect(broken).toEqual([]);
  });

  for (const width of widths) {
    it.each(opened)(`%s fits ${width} pixels, and nothing fails`, async (address) => {
      const problems = await withPage(address, width, async (page) => {
        expect(await page.locator("h1").first().textContent()).not.toBe("");
        expect(await page.evaluate(misplaced)).toEqual([]);
      });
      expect(problems).toEqual([]);
    });
  }

  it("shows the guides in its navigation, and leads to one", async () => {
    const problems = await withPage("index.html", 1280, async (page) => {
      const link = page.locator("#tsd-nav-container a", { hasText: "Ten minutes" });
      expect(await link.isVisible()).toBe(true);
      await link.click();
      await page.waitForURL(/guides\/ten-minutes\.html$/);
    });
    expect(problems).toEqual([]);
  });

  it("opens its navigation on a phone", async () => {
    const problems = await withPage("guides/order.html", 390, async (page) => {
      const link = page.locator("#tsd-nav-container a", { hasText: "Ten minutes" });
      expect(await isInView(page)).toBe(false);
      await page.locator("#tsd-toolbar-menu-trigger").click();
      await page.waitForFunction(inView);
      await link.click();
      await page.waitForURL(/guides\/ten-minutes\.html$/);
    });
    expect(problems).toEqual([]);
  });

  it.each(widths)("finds an export, and a word of a guide (%d pixels)", async (width) => {
    const problems = await withPage("index.html", width, async (page) => {
      await page.locator("#tsd-search-trigger").click();
      const results = page.locator("#tsd-search-results li");
      for (const [wanted, found] of [
        ["createKernel", "createKernel"],
        ["hand-over", "What is promised at hand-over"],
      ] as const) {
        await page.locator("#tsd-search-input").fill(wanted);
        await results.filter({ hasText: found }).first().waitFor({ timeout: 20_000 });
      }
      await results.filter({ hasText: "What is promised" }).first().click();
      await page.waitForURL(/guides\/hand-over\.html/);
    });
    expect(problems).toEqual([]);
  });
});

/** Runs in the page: what is wider than the window, or cut off without a way to scroll. */
function misplaced(): string[] {
  interface Element {
    readonly tagName: string;
    readonly className: unknown;
    readonly textContent: string | null;
    readonly parentElement: Element | null;
    readonly scrollWidth: number;
    readonly clientWidth: number;
    getBoundingClientRect(): { readonly right: number; readonly left: number; readonly width: number };
  }
  const page = globalThis as unknown as {
    readonly innerWidth: number;
    readonly document: {
      readonly documentElement: Element;
      querySelectorAll(selector: string): Iterable<Element>;
    };
    getComputedStyle(element: Element): { readonly overflowX: string };
  };
  const { innerWidth, document } = page;
  const found: string[] = [];
  const name = (element: Element) =>
    `${element.tagName} ${String(element.className)}: ${(element.textContent ?? "").trim().slice(0, 60)}`;
  if (document.documentElement.scrollWidth > innerWidth)
    found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const element of document.querySelectorAll(".col-content *")) {
    const { right, left, width } = element.getBoundingClientRect();
    const scrolls = (at: Element | null): boolean =>
      at !== null && (/auto|scroll/.test(page.getComputedStyle(at).overflowX) || scrolls(at.parentElement));
    if (width > 0 && (right > innerWidth + 1 || left < -1) && !scrolls(element.parentElement))
      found.push(`outside: ${name(element)}`);
    const isCut =
      /hidden|clip/.test(page.getComputedStyle(element).overflowX) && element.scrollWidth > element.clientWidth + 1;
    if (isCut && element.clientWidth > 1) found.push(`cut: ${name(element)}`);
  }
  return found.slice(0, 5);
}

/** Runs in the page: whether the navigation's first guide can be seen. */
function inView(): boolean {
  const page = globalThis as unknown as {
    readonly innerWidth: number;
    readonly document: {
      querySelector(
        selector: string,
      ): { getBoundingClientRect(): { left: number; right: number; width: number } } | null;
    };
  };
  const box = page.document.querySelector("#tsd-nav-container a")?.getBoundingClientRect();
  return box !== undefined && box.width > 0 && box.left >= 0 && box.right <= page.innerWidth;
}

const isInView = (page: Page): Promise<boolean> => page.evaluate(inView);
