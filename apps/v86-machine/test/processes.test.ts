// Two processes and a file: the first boots and counts, saves and ends; the second goes on.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { judge } from "../src/guest/evidence.ts";
import { itWithSeabios } from "./support/seabios.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const entry = `${root}apps/v86-machine/src/roles/main.ts`;
const condition = "--conditions=godwit:source";
// Node 20 does not run TypeScript.
const runtime =
  "deno" in process.versions ? [process.execPath, "run", "-A", condition] : [`${root}node_modules/.bin/bun`, condition];

/** A process that has not ended by then is ended. */
const limitMs = 50_000;
const children = new Set<ChildProcess>();

// A test that failed or ran out of time does not wait for its processes any more.
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function ended(...args: string[]): Promise<Ended> {
  const [command = "", ...before] = runtime;
  const child = spawn(command, [...before, entry, ...args]);
  children.add(child);
  const limit = setTimeout(() => child.kill("SIGKILL"), limitMs);
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  return new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  }).finally(() => {
    clearTimeout(limit);
    children.delete(child);
  });
}

/** What the process prints; it fails with what it says on the other stream. */
async function run(...args: string[]): Promise<string> {
  const { code, out, err } = await ended(...args);
  if (code !== 0) throw new Error(`exit ${code}: ${err}`);
  return out;
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-v86-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("the program", () => {
  it.each([
    ["no arguments", [], /^usage: .+\n$/],
    ["an option that there is not", ["save", "x", "1", "--there-is-not"], /^usage: .+\n$/],
    ["a count that is none", ["save", "x", "many"], /^usage: .+\n$/],
  ])("answers %s in a line, as wrong use", async (_, args, says) => {
    const { code, err } = await ended(...args);
    expect([code, err]).toEqual([2, expect.stringMatching(says)]);
  });

  itWithSeabios("answers a file that is not there, and one that is no stream, in a line", async () => {
    const absent = await ended("load", join(folder, "absent.stream"), "1");
    expect([absent.code, absent.err]).toEqual([2, expect.stringMatching(/^ENOENT.+absent\.stream.*\n$/)]);
    const file = join(folder, "no.stream");
    writeFileSync(file, "no stream at all");
    const refused = await ended("load", file, "1");
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/^MAGIC_WRONG.+\n$/)]);
  });
});

describe("a guest that is moved through a file", () => {
  itWithSeabios("goes on in another process without a line lost or repeated", async () => {
    const file = join(folder, "there.stream");
    const first = await run("save", file, "50");
    expect(statSync(file).size).toBeGreaterThan(500_000);
    const second = await run("load", file, "50");
    const { lines, problem } = judge(first + second);
    expect([problem, lines.length >= 100]).toEqual([undefined, true]);
    // The save is no special moment: the same file goes on a second time, to the same lines.
    const again = judge(first + (await run("load", file, "50")));
    expect(again.problem).toBeUndefined();
    expect(again.lines.slice(0, 100).map(({ hash }) => hash)).toEqual(lines.slice(0, 100).map(({ hash }) => hash));
  });

  itWithSeabios.each(["-10", "10"])("does not see that the other host's clock is %s days off", async (_, days) => {
    const file = join(folder, `days${days}.stream`);
    const first = await run("save", file, "30");
    const second = await run("load", file, "30", `--host-days=${days}`);
    const { lines, problem } = judge(first + second);
    expect([problem, lines.length >= 60]).toEqual([undefined, true]);
    // Timer and clock have both gone on there: about a thousand interrupts a second each.
    const [left, right] = [judge(first).lines.at(-1), lines.at(-1)];
    const ticks = (right?.ticks ?? 0) - (left?.ticks ?? 0);
    const rtc = (right?.rtc ?? 0) - (left?.rtc ?? 0);
    expect([ticks >= 100, rtc >= ticks / 4, rtc <= ticks * 4]).toEqual([true, true, true]);
  });
});
