// The program as a user runs it: two processes over loopback TCP.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const condition = "--conditions=godwit:source";
// Node 20 does not run TypeScript; npm start runs Bun.
const runtime =
  "deno" in process.versions ? [process.execPath, "run", "-A", condition] : [`${root}node_modules/.bin/bun`, condition];

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

/** `onLine` hears each line as it comes. */
function run(...args: string[]): Promise<Ran> {
  return runAndHear(args, () => {});
}

function runAndHear(args: readonly string[], onLine: (line: string) => void): Promise<Ran> {
  const [command = "", ...before] = runtime;
  const child = spawn(command, [...before, `${root}apps/reference-machine/src/main.ts`, ...args]);
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  createInterface({ input: child.stdout }).on("line", onLine);
  child.stderr.on("data", (chunk) => (err += chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

const events = (out: string) =>
  out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("the program", () => {
  it("migrates, and finds the evidence whole at the destination", async () => {
    const { code, out, err } = await run("--json", "--memory", "16", "--dirty-rate", "8", "--seed", "77");
    expect([code, err]).toEqual([0, ""]);
    const told = events(out);
    expect(told.at(-1)).toEqual({ event: "summary", good: true, problems: [] });
    const statuses = (role: string) => told.filter((m) => m.role === role && m.event === "status").map((m) => m.status);
    expect(statuses("source").at(-1)).toBe("completed");
    expect(statuses("destination").at(-1)).toBe("completed");
    const evidence = told.find((m) => m.event === "evidence");
    expect(evidence).toMatchObject({
      role: "destination",
      clean: true,
      guest: { seed: 77, iommuEnabled: true, errorCount: 0 },
    });
    expect(evidence.guest.blocksCompleted).toBeGreaterThanOrEqual(evidence.blocksBefore + 100);
    expect(evidence.evidence.blocks.intact).toBeGreaterThan(100);
    const loaded = told.find((m) => m.event === "loaded");
    expect(loaded.load.loadOrder.indexOf("iommu-intel/0")).toBeLessThan(
      loaded.load.loadOrder.indexOf("0000:00:02.0/virtio-blk/0"),
    );
    expect(told.filter((m) => m.event === "progress").length).toBeGreaterThan(0);
  });

  it("refuses the wrong order by what a check sees; the machine goes on at the source", async () => {
    const { code, out } = await run("--json", "--memory", "4", "--iommu-last");
    expect(code).toBe(1);
    const told = events(out);
    const { refusal } = told.at(-1);
    expect(["MEMORY_UNMAPPED", "TRANSLATION_FAULT", "VIRTQUEUE_INDEX"]).toContain(refusal.code);
    expect(refusal).toMatchObject({ section: "0000:00:02.0/virtio-blk/0" });
    expect(refusal.path).toMatch(/^vqs\[0\]/);
    const evidence = told.find((m) => m.event === "evidence");
    expect(evidence).toMatchObject({ role: "source", clean: true, guest: { errorCount: 0 } });
    expect(evidence.trouble).toBeUndefined();
    expect(evidence.guest.blocksCompleted).toBeGreaterThanOrEqual(evidence.blocksBefore + 100);
  });

  it("accepts the same order where the guest leaves the IOMMU off, and says it in plain lines", async () => {
    const { code, out } = await run("--memory", "4", "--iommu-last", "--no-iommu");
    expect(out).toContain("Migrated while it ran: nothing lost, repeated or torn.");
    expect(out).toMatch(/Downtime [\d.]+ m?s/);
    expect(out).toMatch(/iommu-intel +full +\d+ +7\n/);
    expect(code).toBe(0);
  });

  it.each(["source", "destination"])("is truthful when the %s is killed half way", async (victim) => {
    const pids = new Map<string, number>();
    const { code, out } = await runAndHear(["--json", "--memory", "64", "--bandwidth", "8"], (line) => {
      const told = JSON.parse(line);
      if (told.event === "started") pids.set(told.role, told.pid);
      const pid = pids.get(victim);
      if (pid !== undefined && told.event === "progress" && told.statistics.ram.transferred > 1_000_000) {
        pids.delete(victim);
        process.kill(pid, "SIGKILL");
      }
    });
    expect(code).toBe(1);
    const summary = events(out).at(-1);
    expect(summary.good).toBe(false);
    expect(summary.problems[0]).toBe(`${victim}: its process was killed`);
    const evidence = events(out).find((told) => told.event === "evidence");
    // Without a destination the machine goes on where it is; without a source it is gone.
    if (victim === "destination") expect(evidence).toMatchObject({ role: "source", clean: true });
    else expect(evidence).toBeUndefined();
  });

  it("explains itself, and refuses what it does not know", async () => {
    const help = await run("--help");
    expect(help.code).toBe(0);
    for (const option of ["--seed", "--memory", "--dirty-rate", "--json", "--help", "--iommu-last"])
      expect(help.out).toContain(option);
    const unknown = await run("--fast");
    expect([unknown.code, unknown.out]).toEqual([2, ""]);
    expect(unknown.err).toContain("--fast");
    const range = await run("--memory", "0");
    expect(range.code).toBe(2);
    expect(range.err).toContain('--memory takes a whole number from 1 to 3072 (MiB), not "0"');
  });
});
