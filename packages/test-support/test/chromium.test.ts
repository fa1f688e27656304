// Which Chromium is taken, and what its absence means.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChromiumLauncher, chromiumPath, haveChromium, openChromium } from "@godwit/test-support/chromium";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

let folder: string;
let program: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-chromium-"));
  program = join(folder, "chromium");
  vi.stubEnv("PATH", folder);
  for (const name of ["GODWIT_CHROMIUM", "GODWIT_REQUIRE_CHROMIUM", "CI"]) vi.stubEnv(name, "");
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function install(path: string): void {
  writeFileSync(path, "#!/bin/sh\n");
  chmodSync(path, 0o755);
}

it("the one on the path is taken where GODWIT_CHROMIUM is empty", () => {
  install(program);
  expect(haveChromium()).toBe(true);
  expect(chromiumPath()).toBe(program);
});

it("the one that GODWIT_CHROMIUM names is taken before it", () => {
  install(program);
  const other = join(folder, "other");
  install(other);
  vi.stubEnv("GODWIT_CHROMIUM", other);
  expect(haveChromium()).toBe(true);
  expect(chromiumPath()).toBe(other);
});

it("none is told in a line", () => {
  const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
  mkdirSync(program);
  expect(haveChromium()).toBe(false);
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("none of chromium, chromium-browser"));
});

it.each(["missing", "chromium"])("a wrong one is told with its path, whatever is on the path: %s", (name) => {
  const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
  const wrong = join(folder, "wrong", name);
  mkdirSync(join(folder, "wrong", "chromium"), { recursive: true });
  install(program);
  vi.stubEnv("GODWIT_CHROMIUM", wrong);
  expect(haveChromium()).toBe(false);
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(`GODWIT_CHROMIUM names ${wrong}, which`));
});

it.each([
  ["GODWIT_REQUIRE_CHROMIUM", "1"],
  ["CI", "true"],
])("is not allowed to be missing with %s=%s", (name, value) => {
  vi.stubEnv(name, value);
  expect(() => haveChromium()).toThrow("none of chromium");
  vi.stubEnv("GODWIT_CHROMIUM", program);
  expect(() => haveChromium()).toThrow(`GODWIT_CHROMIUM names ${program}`);
});

it("is started in its sandbox, but by root", async () => {
  install(program);
  const sandboxes: boolean[] = [];
  const launcher: ChromiumLauncher = {
    async launch({ executablePath, chromiumSandbox }) {
      expect(executablePath).toBe(program);
      sandboxes.push(chromiumSandbox);
      return { newPage: () => Promise.reject(new Error("none")), version: () => "1", close: async () => {} };
    },
  };
  for (const id of [0, 1000]) {
    vi.spyOn(process, "getuid").mockReturnValue(id);
    await openChromium(launcher);
  }
  expect(sandboxes).toEqual([false, true]);
});
