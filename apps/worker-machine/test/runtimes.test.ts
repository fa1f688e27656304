// Saves cross from the runtime of the tests to Bun and to Deno, and back.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { progress, records, runTo, saved, stand } from "./support/drive.ts";
import { startMachine } from "./support/rig.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const condition = "--conditions=godwit:source";
const commands = {
  bun: [`${root}node_modules/.bin/bun`, condition],
  deno: [`${root}node_modules/.bin/deno`, "run", "-A", condition],
} as const;

/** A process that has not ended by then is ended. */
const limitMs = 50_000;
const children = new Set<ChildProcess>();

// A test that failed or ran out of time does not wait for its processes any more.
afterEach(() => {
  for (const child of children) end(child);
});

/** With what it has started: Deno's command starts Deno. */
function end({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It has ended meanwhile.
    if ((error as { code?: string }).code !== "ESRCH") throw error;
  }
}

async function runMain(runtime: keyof typeof commands, ...args: string[]): Promise<string> {
  const [command, ...before] = commands[runtime];
  const child = spawn(command, [...before, `${root}apps/worker-machine/src/main.ts`, ...args], {
    cwd: root,
    detached: true,
  });
  children.add(child);
  const limit = setTimeout(() => end(child), limitMs);
  let told = "";
  let failed = "";
  child.stdout.on("data", (chunk) => (told += chunk));
  child.stderr.on("data", (chunk) => (failed += chunk));
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve)).finally(() => {
    clearTimeout(limit);
    children.delete(child);
  });
  if (code !== 0) throw new Error(`${runtime} ended with ${code}: ${failed}`);
  return told;
}

describe("a save", () => {
  it.each(["bun", "deno"] as const)("made here goes on in %s, and what that saves goes on here", async (runtime) => {
    const folder = await mkdtemp(join(tmpdir(), "godwit-saves-"));
    try {
      const [from, to] = [join(folder, "from"), join(folder, "to")];
      const source = await startMachine();
      source.kernel.resume();
      await progress(source, 20_000);
      await writeFile(from, await saved(source.kernel));
      const { loaded, after } = JSON.parse(await runMain(runtime, "go-on", from, to)) as Record<string, number>;
      const target = await startMachine();
      await target.kernel.load(await readFile(from));
      expect(loaded).toBe(records(target));
      await target.kernel.load(await readFile(to));
      const arrived = records(target);
      expect(arrived).toBeGreaterThan(loaded as number);
      expect(arrived).toBeLessThanOrEqual(after as number);
      target.kernel.resume();
      await progress(target, 5000);
      await stand(target);
      records(target);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("has the same bytes on every runtime", async () => {
    const machine = await startMachine({ hostNow: () => 0n });
    await runTo(machine, 300_007);
    const snapshot = machine.kernel.snapshot();
    const digest = createHash("sha256").update(snapshot).digest("hex");
    // What Bun wrote, and the others must.
    expect([snapshot.length, digest]).toEqual([
      156_516,
      "3713d4db0e36f7defb80b0965eb41cdab4d85c9648e03eb6c5b7d42b4e0cf17f",
    ]);
  });

  it("is shown by the program", async () => {
    const lines = (await runMain("bun")).trim().split("\n");
    expect(lines).toHaveLength(6);
    for (const [i, line] of lines.slice(0, 5).entries()) {
      expect(line).toMatch(
        new RegExp(`^save ${i + 1}: \\d+ bytes in [\\d.]+ ms at instruction \\d+; the second machine goes on from `),
      );
    }
    expect(lines[5]).toMatch(/nothing lost, repeated or torn$/);
  });
});
