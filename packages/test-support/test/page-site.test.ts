// The site of a page, asked as a page would, and as nobody should.
import { type PageSite, servePage, withPage } from "@godwit/test-support/chromium";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const script = Uint8Array.from(Buffer.from("export {};"));
const init = { files: new Map([["page.js", script]]), entry: "page.js", maxBodyBytes: 100 };
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const post = async (url: string, body: string) => (await fetch(url, { method: "POST", body })).status;
const reportOf = (own: unknown) => JSON.stringify({ "csp-report": own });
const isServed = (url: string) =>
  fetch(url).then(
    async (response) => (await response.text()) !== "",
    () => false,
  );

describe("the site of a page", () => {
  let site: PageSite;
  beforeEach(async () => {
    site = await servePage(init);
  });
  afterEach(() => site.close());

  it("serves the page and its scripts under a path of its own, and a policy that reports there", async () => {
    const page = await fetch(site.url);
    expect(await page.text()).toContain('src="page.js"');
    const { pathname } = new URL(site.url);
    expect(page.headers.get("content-security-policy")).toContain(`report-uri ${pathname}violation`);
    expect(await (await fetch(new URL("page.js", site.url))).text()).toBe("export {};");
    const other = await servePage(init);
    try {
      expect(new URL(other.url).pathname).not.toBe(pathname);
      expect(pathname).toMatch(/^\/[0-9a-f]{32}\/$/);
    } finally {
      await other.close();
    }
  });

  it("gives and is told", async () => {
    const asked = fetch(`${site.url}given/a`);
    site.give("a", Uint8Array.of(1, 2));
    expect([...new Uint8Array(await (await asked).arrayBuffer())]).toEqual([1, 2]);
    const told = site.told("b");
    expect(await post(`${site.url}told/b`, "word")).toBe(204);
    expect(text(await told)).toBe("word");
  });

  it("does not listen to who does not know its path, nor to what it has no word for", async () => {
    const origin = new URL("/", site.url).href;
    for (const path of ["told/b", "problem", "violation", "given/a"]) {
      expect(await post(`${origin}${path}`, "word"), path).toBe(404);
      expect(await post(`${origin}${"0".repeat(32)}/${path}`, "word"), path).toBe(404);
    }
    expect((await fetch(`${origin}given/a`)).status).toBe(404);
    for (const path of ["other", "told", "told/", "problem/x", "violation/x", ""]) {
      expect(await post(`${site.url}${path}`, "word"), path).toBe(404);
    }
    expect((await fetch(`${site.url}told/b`, { method: "PUT", body: "word" })).status).toBe(405);
    expect(await post(`${site.url}told/b`, "its own")).toBe(204);
    expect(text(await site.told("b"))).toBe("its own");
    expect(await site.violations()).toEqual([]);
  });

  it("takes a message of so many bytes and refuses a longer one, which is a problem", async () => {
    expect(await post(`${site.url}told/b`, "x".repeat(100))).toBe(204);
    expect((await site.told("b")).length).toBe(100);
    expect(await post(`${site.url}told/c`, "x".repeat(101))).toBe(413);
    await expect(site.told("c")).rejects.toThrow("told/c: a message of more than 100 bytes");
  });

  it("keeps a violation that is reported", async () => {
    const own = { "effective-directive": "script-src", "blocked-uri": "eval", more: 1 };
    expect(await post(`${site.url}violation`, reportOf(own))).toBe(204);
    expect(await site.violations(1)).toEqual(["script-src: eval"]);
  });

  it.each([
    ["no JSON", "{"],
    ["null", "null"],
    ["no report", "{}"],
    ["a report of another kind", reportOf(7)],
    ["no directive", reportOf({ "blocked-uri": "eval" })],
    ["a directive that is no text", reportOf({ "effective-directive": 1, "blocked-uri": "eval" })],
  ])("answers a malformed violation with 400, and it is a problem: %s", async (_what, body) => {
    expect(await post(`${site.url}violation`, body)).toBe(400);
    expect(await site.violations()).toEqual([]);
    await expect(site.told("b")).rejects.toThrow("a report of a violation that is none");
  });
});

describe("a page and its site", () => {
  const chromium = (open: () => Promise<{ close(): Promise<void> }>) => {
    const urls: string[] = [];
    return {
      urls,
      version: "none",
      open(url: string) {
        urls.push(url);
        return open();
      },
      close: async () => {},
    };
  };

  it("end where the page does not open", async () => {
    const browser = chromium(() => Promise.reject(new Error("planted")));
    await expect(withPage(browser, init, async () => 1)).rejects.toThrow("planted");
    expect(browser.urls).toHaveLength(1);
    expect(await isServed(browser.urls[0] as string)).toBe(false);
  });

  it("end with the work, whether it throws or not", async () => {
    let closed = 0;
    const browser = chromium(async () => ({
      close: async () => {
        closed++;
      },
    }));
    expect(await withPage(browser, init, async (site) => isServed(site.url))).toBe(true);
    await expect(withPage(browser, init, () => Promise.reject(new Error("planted")))).rejects.toThrow("planted");
    expect(closed).toBe(2);
    for (const url of browser.urls) expect(await isServed(url)).toBe(false);
  });
});
