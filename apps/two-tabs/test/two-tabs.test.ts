// Two tabs of headless Chromium: a machine goes from one's worker to the other's while it runs, and comes back; a refused
// one changes nothing. And a real stream is read in the page.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundleForBrowser, chromiumPath, haveChromium, strictPolicy } from "@godwit/test-support/chromium";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { policy, type Served, serve } from "../src/serve.ts";
import { type ShownStream, showStream } from "../src/stream-page.ts";
import type { Ended, Evidence } from "../src/words.ts";

const path = (name: string) => fileURLToPath(new URL(`../src/${name}`, import.meta.url));
const streamName = "q35-bare-7.2.stream";

describe.skipIf(!haveChromium())("in two tabs", () => {
  let browser: Browser;
  let served: Served;
  let context: BrowserContext;
  let problems: string[] = [];

  beforeAll(async () => {
    const bundle = await bundleForBrowser(["page.ts", "worker.ts", "meeting.ts"].map(path));
    expect(bundle.foreign).toEqual([]);
    const files = new Map(bundle.files);
    for (const name of ["page.html", "page.css"]) files.set(name, readFileSync(path(name)));
    if (haveStreams()) files.set("qemu.stream", readStream(streamName));
    served = await serve(files, 0);
    browser = await chromium.launch({
      executablePath: chromiumPath() as string,
      // Chromium refuses to start in its sandbox as root, and only then.
      chromiumSandbox: process.getuid?.() !== 0,
      args: ["--disable-gpu"],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await served?.close();
  });

  // A context of its own for each test: its tabs share a meeting, and nothing with another test's.
  beforeEach(async () => {
    problems = [];
    context = await browser.newContext();
    context.on("console", (message) => {
      if (message.type() === "error") problems.push(`console: ${message.text()}`);
    });
    context.on("weberror", (error) => problems.push(`page error: ${error.error().message}`));
  });
  afterEach(async () => {
    await context.close();
    expect(problems).toEqual([]);
  });

  async function tab(expected: string): Promise<Page> {
    const page = await context.newPage();
    const response = await page.goto(served.url);
    expect(response?.headers()["content-security-policy"]).toBe(policy);
    await until(async () => expect(await text(page, "tab")).toBe(expected));
    return page;
  }
  const until = (holds: () => Promise<void>): Promise<void> => vi.waitFor(holds, { timeout: 20_000, interval: 20 });
  const text = async (page: Page, id: string) => (await page.locator(`#${id}`).textContent()) ?? "";

  /** Of the lines printed in this tab: the first and last number, and how many. */
  async function lines(page: Page): Promise<{ first: number; last: number; count: number }> {
    const [, first, last, count] = /^(\d+) to (\d+), (\d+) in all$/.exec(await text(page, "lines")) ?? [];
    return { first: Number(first), last: Number(last), count: Number(count) };
  }
  const printedBeyond = (page: Page, line: number) =>
    until(async () => expect((await lines(page)).last).toBeGreaterThan(line));

  /** What the page shows there once it has it. */
  async function shown<T>(page: Page, id: string): Promise<T> {
    await until(async () => expect(await text(page, id)).not.toBe(""));
    return JSON.parse(await text(page, id)) as T;
  }
  async function examined(page: Page): Promise<Evidence> {
    await page.click("#examine");
    return shown(page, "evidence");
  }
  /** Sends the machine; how that ended, on each side. */
  async function send(from: Page, to: Page): Promise<[source: Ended, destination: Ended]> {
    const earlier = await text(to, "ended");
    await from.click("#send");
    const source = await shown<Ended>(from, "ended");
    await until(async () => expect(await text(to, "ended")).not.toBe(earlier));
    return [source, await shown(to, "ended")];
  }

  it("a running machine goes over, loses nothing, runs on there, and comes back", async () => {
    const a = await tab("the first tab");
    const b = await tab("another tab");
    await printedBeyond(a, 3);
    expect([await text(a, "state"), await text(b, "state")]).toEqual(["runs here", "stands"]);

    const [source, destination] = await send(a, b);
    expect([source.status, destination.status]).toEqual(["completed", "completed"]);
    // It ran while its memory went: pages were dirty again.
    expect(source.rounds).toBeGreaterThanOrEqual(2);
    expect(source.sentBytes).toBeGreaterThan(4 * 1024 * 1024 + 4096);
    // What arrived is what had stopped, to the step and the last bit of memory.
    expect(destination.held).toEqual(source.held);
    expect([await text(a, "state"), await text(b, "state")]).toEqual(["stands", "runs here"]);

    const left = await lines(a);
    await printedBeyond(b, left.last + 3);
    const there = await examined(b);
    expect(there.problems).toEqual([]);
    expect(there.steps).toBeGreaterThan(destination.held?.steps as number);
    // Every line came out once: here up to one, there from the next.
    expect(left).toEqual({ first: 1, last: left.last, count: left.last });
    expect((await lines(b)).first).toBe(left.last + 1);
    // What stands, stands.
    const stood = await examined(a);
    expect([stood.steps, stood.checksum, stood.problems]).toEqual([source.held?.steps, source.held?.checksum, []]);
    expect(await lines(a)).toEqual(left);

    const [, back] = await send(b, a);
    expect(back.status).toBe("completed");
    const gone = await lines(b);
    await printedBeyond(a, gone.last + 2);
    expect((await examined(a)).problems).toEqual([]);
    expect(gone.last - gone.first + 1).toBe(gone.count);
    const both = await lines(a);
    expect(both.count).toBe(left.count + both.last - gone.last);
  });

  it("one that is refused behind its last page changes nothing: it runs on where it was", async () => {
    const a = await tab("the first tab");
    const b = await tab("another tab");
    await printedBeyond(a, 2);
    const before = await examined(b);
    await b.uncheck("#paper");
    const [source, destination] = await send(a, b);
    expect([source.status, destination.status]).toEqual(["failed", "failed"]);
    expect([source.code, destination.code]).toEqual(["DEVICE_CHECK", "DEVICE_CHECK"]);
    expect(source.message).toContain("the printer is out of paper");
    expect(source.sentBytes).toBeGreaterThan(4 * 1024 * 1024);
    expect([await text(a, "state"), await text(b, "state")]).toEqual(["runs here", "stands"]);
    expect(await examined(b)).toEqual(before);
    expect(await text(b, "lines")).toBe("none");

    await printedBeyond(a, (await lines(a)).last + 2);
    expect((await examined(a)).problems).toEqual([]);
    const own = await lines(a);
    expect(own).toEqual({ first: 1, last: own.last, count: own.last });

    // And it can still go, once there is paper.
    await b.check("#paper");
    const [again, taken] = await send(a, b);
    expect([again.status, taken.status]).toEqual(["completed", "completed"]);
    expect(taken.held).toEqual(again.held);
    await printedBeyond(b, (await lines(a)).last + 1);
    expect((await examined(b)).problems).toEqual([]);
  });

  it("one whose destination's tab is closed on the way runs on where it was", async () => {
    const a = await tab("the first tab");
    const b = await tab("another tab");
    await printedBeyond(a, 2);
    await a.click("#send");
    await until(async () => expect(await text(a, "log")).toContain("round 1"));
    await b.close();
    const source = await shown<Ended>(a, "ended");
    expect([source.status, source.code]).toEqual(["failed", "PEER_SILENT"]);
    expect(await text(a, "state")).toBe("runs here");
    await printedBeyond(a, (await lines(a)).last + 2);
    expect((await examined(a)).problems).toEqual([]);
    await a.click("#send");
    await until(async () => expect(await text(a, "log")).toContain("there is no other tab"));
    expect(await text(a, "state")).toBe("runs here");
  });

  it("one whose own tab is closed on the way leaves the other as it was", async () => {
    const a = await tab("the first tab");
    const b = await tab("another tab");
    await printedBeyond(a, 2);
    const before = await examined(b);
    await a.click("#send");
    await until(async () => expect(await text(a, "log")).toContain("round 1"));
    await a.close();
    const destination = await shown<Ended>(b, "ended");
    expect([destination.way, destination.status, destination.code]).toEqual(["in", "failed", "PEER_SILENT"]);
    expect(destination.sentBytes).toBeGreaterThan(1024 * 1024);
    expect([await text(b, "state"), await text(b, "lines")]).toEqual(["stands", "none"]);
    expect(await examined(b)).toEqual(before);
  });

  it("a tab opens the other one itself", async () => {
    const a = await tab("the first tab");
    const [b] = await Promise.all([context.waitForEvent("page"), a.click("#open")]);
    await until(async () => expect(await text(b, "tab")).toBe("another tab"));
    const [source, destination] = await send(a, b);
    expect([source.status, destination.status]).toEqual(["completed", "completed"]);
  });

  it.skipIf(!haveStreams())("a stream that QEMU saved is read in the page", async () => {
    const page = await tab("the first tab");
    await until(async () => expect(await text(page, "stream")).toContain("machineType"));
    const shown = JSON.parse(await text(page, "stream")) as Omit<ShownStream, "sections">;
    const known = manifest().flatMap(({ files }) => files.filter(({ raw }) => raw === streamName))[0]?.stream;
    const records = known?.ram_records;
    const { sections, ...here } = showStream(readStream(streamName));
    expect(shown).toEqual(here);
    expect([shown.machineType, shown.pages]).toEqual([known?.config.name, (records?.page ?? 0) + (records?.zero ?? 0)]);
    expect(shown.fields).toBeGreaterThan(500);
    const rows = await page.locator("#sections tr").allTextContents();
    expect(rows).toEqual(known?.sections.map((each) => `${each.idstr}/${each.instance} v${each.version}${each.bytes}`));
    expect(rows).toEqual(sections.map(({ name, bytes }) => name + bytes));
  });
});

describe("the page's policy", () => {
  it("is the strictest that our tests know, with a style sheet", () => {
    expect(policy).toBe(`${strictPolicy}; style-src 'self'`);
  });
});
