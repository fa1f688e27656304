// Two processes and a file: the first boots and counts, saves and ends; the second goes on.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { judge } from "../src/guest/evidence.ts";
import { itWithSeabios } from "./support/seabios.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const entry = `${root}apps/v86-machine/src/roles/main.ts`;
const condition = "--conditions=godwit:source";
// Node 20 does not run TypeScript.
const runtime =
  "deno" in process.versions ? [process.execPath, "run", "-A", condition] : [`${root}node_modules/.bin/bun`, condition];

/** What the process prints; it fails with what it says on the other stream. */
function run(...args: string[]): Promise<string> {
  const [command = "", ...before] = runtime;
  const child = spawn(command, [...before, entry, ...args]);
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`exit ${code}: ${err}`))));
  });
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-v86-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

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
