// Runs a guide's program in this process, in a folder of its own, and keeps what it prints.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { vi } from "vitest";
import { root } from "./blocks.ts";

/** What the program prints to standard output, by lines. Its modules are fresh. */
export async function linesOf(path: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "godwit-guide-"));
  const before = process.cwd();
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((...words: unknown[]) => {
    lines.push(...words.map(String).join(" ").split("\n"));
  });
  try {
    process.chdir(folder);
    vi.resetModules();
    await import(/* @vite-ignore */ pathToFileURL(join(root, path)).href);
    return lines;
  } finally {
    log.mockRestore();
    process.chdir(before);
    rmSync(folder, { recursive: true, force: true });
  }
}
