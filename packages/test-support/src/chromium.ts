// Pages in headless Chromium under the strictest content-security policy: found, served, opened, and listened to.
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type PageSite, type PageSiteInit, servePage } from "./page-site.ts";
import { absent, environmentValue } from "./required.ts";

export { type BrowserBundle, bundleForBrowser } from "./browser-bundle.ts";
export { type PageSite, type PageSiteInit, servePage, strictPolicy } from "./page-site.ts";

/** What is used of `chromium` of playwright-core: the tests bring it, so that this package needs no browser to install. */
export interface ChromiumLauncher {
  launch(options: {
    executablePath: string;
    headless: boolean;
    chromiumSandbox: boolean;
    args: string[];
  }): Promise<LaunchedBrowser>;
}

interface LaunchedBrowser {
  newPage(): Promise<LaunchedPage>;
  version(): string;
  close(): Promise<void>;
}

interface LaunchedPage {
  on(event: "console", listener: (message: { type(): string; text(): string }) => void): unknown;
  on(event: "pageerror", listener: (error: Error) => void): unknown;
  on(event: "crash", listener: () => void): unknown;
  goto(url: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface Chromium {
  readonly version: string;
  /** Opens a page; `onProblem` hears what its console calls an error, and what it throws. */
  open(url: string, onProblem: (problem: string) => void): Promise<OpenPage>;
  close(): Promise<void>;
}

export interface OpenPage {
  close(): Promise<void>;
}

const names = ["chromium", "chromium-browser", "google-chrome"];
const quiet = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The program: `GODWIT_CHROMIUM`, else the first of its usual names on the path. */
export function chromiumPath(): string | undefined {
  const named = environmentValue("GODWIT_CHROMIUM");
  if (named !== undefined) return named;
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram);
}

/**
 * Whether there is a Chromium, for `describe.skipIf(!haveChromium())`; says so in a line when there is none.
 * With `GODWIT_REQUIRE_CHROMIUM=1` or `CI=true` it throws instead, so that no run in CI passes by skipping.
 */
export function haveChromium(): boolean {
  const path = chromiumPath();
  if (path !== undefined && isProgram(path)) return true;
  const problem =
    path === undefined
      ? `no Chromium: none of ${names.join(", ")} is on the path (GODWIT_CHROMIUM names the program)`
      : `no Chromium: GODWIT_CHROMIUM names ${path}, which is no program`;
  return absent("chromium", problem, "the tests in a browser page");
}

/**
 * Serves a page, opens it, and ends both with `work`, however that ends. The site hears the page's problems; `onProblem`
 * hears them in its stead.
 */
export async function withPage<T>(
  chromium: Chromium,
  init: PageSiteInit,
  work: (site: PageSite) => Promise<T>,
  onProblem?: (problem: string) => void,
): Promise<T> {
  const site = await servePage(init);
  try {
    const page = await chromium.open(site.url, onProblem ?? site.report);
    try {
      return await work(site);
    } finally {
      await page.close();
    }
  } finally {
    await site.close();
  }
}

/** Starts a headless Chromium; `launcher` is `chromium` of playwright-core. */
export async function openChromium(launcher: ChromiumLauncher): Promise<Chromium> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) throw new Error("no Chromium: ask haveChromium first");
  // Chromium refuses to start in its sandbox as root, and only then.
  const chromiumSandbox = process.getuid?.() !== 0;
  const browser = await launcher.launch({ executablePath, headless: true, chromiumSandbox, args: quiet });
  return {
    version: browser.version(),
    async open(url, onProblem) {
      const page = await browser.newPage();
      page.on("console", (message) => {
        if (message.type() === "error") onProblem(`console: ${message.text()}`);
      });
      page.on("pageerror", (error) => onProblem(`page error: ${error.message}`));
      page.on("crash", () => onProblem("the page crashed"));
      try {
        await page.goto(url);
      } catch (error) {
        await page.close();
        throw error;
      }
      return { close: () => page.close() };
    },
    close: () => browser.close(),
  };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
