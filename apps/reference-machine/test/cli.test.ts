// The program as a user runs it: two processes over loopback TCP.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
    const peripherals = ["draws", "linesOut", "linesIn", "balloon", "scsiBlocks", "scsiDisk", "jobs"];
    for (const what of peripherals) {
      expect(evidence.evidence[what].intact, what).toBeGreaterThan(20);
    }
    expect(evidence.guest).toMatchObject({ interruptsRemapped: true });
    expect(evidence.guest.balloonReturns).toBeGreaterThan(0);
    expect(evidence.guest.balloonActual).toBe(evidence.guest.balloonTarget);
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
    expect(out).toMatch(/iommu-intel +full +\d+ +13\n/);
    expect(code).toBe(0);
  });

  it.each(["q35", "s390-ccw", "pseries"])("runs a guest of %s before its pages are there", async (profile) => {
    const mode = ["--mode", "postcopy", "--profile", profile, "--memory", "32", "--dirty-rate", "48"];
    const { code, out, err } = await run("--json", ...mode);
    expect([code, err]).toEqual([0, ""]);
    const told = events(out);
    const { followed } = told.find((m) => m.event === "loaded");
    expect(followed.absentAtStart / followed.dirtyPages).toBeGreaterThanOrEqual(0.9);
    // The switch waits for them, so that the share does not depend on how fast this host is.
    expect(followed.dirtyPages).toBeGreaterThan(700);
    expect(followed.faults).toBeGreaterThan(0);
    expect(followed.requestedPages).toBeGreaterThan(0);
    expect(followed.requestedPages + followed.unaskedPages).toBe(followed.dirtyPages);
    const { medianMs, p95Ms, maxMs } = followed.latencyMs;
    expect([medianMs, p95Ms, maxMs]).toEqual([medianMs, p95Ms, maxMs].sort((a, b) => a - b));
    expect(told.find((m) => m.event === "evidence")).toMatchObject({ role: "destination", clean: true });
    const statuses = told.filter((m) => m.role === "source" && m.event === "status").map((m) => m.status);
    expect(statuses).toContain("postcopy-active");
  });

  it("sends pages over connections of their own", async () => {
    const { code, out, err } = await run("--json", "--mode", "multifd", "--channels", "3", "--memory", "16");
    expect([code, err]).toEqual([0, ""]);
    const told = events(out);
    const { statistics } = told.find((m) => m.event === "sent");
    expect(statistics.ram["multifd-bytes"]).toBeGreaterThan(statistics.ram.transferred / 2);
    expect(told.find((m) => m.event === "evidence")).toMatchObject({ role: "destination", clean: true });
  });

  it("moves over TLS, each side verified by the other", async () => {
    const { code, out, err } = await run("--mode", "tls", "--memory", "4");
    expect([code, err]).toEqual([0, ""]);
    const [, destination] = /the destination has verified its peer: signed by ([0-9A-F:]{95})\n/.exec(out) ?? [];
    const [, source] = /the source has verified its peer: signed by ([0-9A-F:]{95})\n/.exec(out) ?? [];
    expect(destination).toBeDefined();
    expect(source).toBe(destination);
    expect(out).toContain("Migrated while it ran: nothing lost, repeated or torn.");
  });

  // So slow a transfer that the guest is too fast for it on any machine, however little of that it gets.
  const busy = ["--json", "--busy", "--memory", "4", "--bandwidth", "2", "--downtime-limit", "200", "--seed", "5"];
  interface Round {
    readonly cpuThrottlePercentage: number;
    readonly expectedDowntimeMs?: number;
  }
  const roundsIn = (told: { event: string; round: Round }[]): Round[] =>
    told.flatMap((message) => (message.event === "round" ? [message.round] : []));

  it("slows a busy guest down until what is left fits into the pause", async () => {
    const { code, out } = await run(...busy);
    expect(code).toBe(0);
    const told = events(out);
    const rounds = roundsIn(told);
    const taken = rounds.map((round) => round.cpuThrottlePercentage);
    expect(taken[0]).toBe(0);
    expect(taken).toEqual([...taken].sort((a, b) => a - b));
    const steps = [...new Set(taken)];
    expect(steps.length).toBeGreaterThan(1);
    expect([0, 40, 60, 80, 99].slice(0, steps.length)).toEqual(steps);
    expect(rounds[0]?.expectedDowntimeMs).toBeGreaterThan(200);
    expect(rounds.at(-1)?.expectedDowntimeMs).toBeLessThanOrEqual(200);
    expect(told.find((m) => m.event === "evidence")).toMatchObject({ role: "destination", clean: true });
  });

  it("does not converge with the same guest where it may not slow it down, and says what would help", async () => {
    const { code, out } = await run(...busy, "--no-auto-converge");
    expect(code).toBe(0);
    const told = events(out);
    const rounds = roundsIn(told);
    // As many as it may take, and then it goes all the same.
    expect(rounds).toHaveLength(8);
    for (const { cpuThrottlePercentage, expectedDowntimeMs } of rounds) {
      expect(cpuThrottlePercentage).toBe(0);
      expect(expectedDowntimeMs).toBeGreaterThan(200);
    }
    expect(told.find((m) => m.event === "verdict").text).toMatch(/faster than it can be sent; .*would do/);
    expect(told.find((m) => m.event === "evidence")).toMatchObject({ role: "destination", clean: true });
  });

  it("moves a machine whose devices are on channels", async () => {
    const { code, out, err } = await run("--json", "--profile", "s390-ccw", "--memory", "16", "--dirty-rate", "8");
    expect([code, err]).toEqual([0, ""]);
    const told = events(out);
    const { evidence, ...found } = told.find((m) => m.event === "evidence");
    expect(found).toMatchObject({ role: "destination", clean: true, guest: { iommuEnabled: false, errorCount: 0 } });
    for (const kind of ["blocks", "packets", "pool", "draws", "linesOut", "linesIn", "balloon", "scsiBlocks"])
      expect(evidence[kind].intact, kind).toBeGreaterThan(10);
    for (const kind of ["programs", "subchannelInterruptions", "adapterInterruptions", "reports"])
      expect(found.channels[kind], kind).toBeGreaterThan(5);
    const { load } = told.find((m) => m.event === "loaded");
    for (const section of ["s390_css/0", "/fe.0.0001/virtio-blk/0", "/fe.0.0006/0:0:0/scsi-disk/0"])
      expect(load.loadOrder).toContain(section);
  });

  it("moves a pseries machine in the middle of a hot-plug", async () => {
    const { code, out, err } = await run("--json", "--profile", "pseries", "--memory", "16", "--dirty-rate", "8");
    expect([code, err]).toEqual([0, ""]);
    const told = events(out);
    const evidence = told.find((m) => m.event === "evidence");
    expect(evidence).toMatchObject({ role: "destination", clean: true, guest: { iommuEnabled: false, errorCount: 0 } });
    expect(evidence.cards.map((card: { before: unknown }) => card.before)).toEqual([
      { kind: "returned to firmware" },
      { kind: "tree half fetched", tokens: 18, of: 36 },
      { kind: "event pending" },
    ]);
    for (const { walks, packets } of evidence.cards) {
      expect(walks).toBeGreaterThan(0);
      expect(packets).toBeGreaterThan(0);
    }
    expect(evidence.evidence.trees.intact).toBeGreaterThan(3);
    const { sections } = told.find((m) => m.event === "sent");
    const idstrs = sections.map(({ idstr }: { idstr: string }) => idstr);
    expect(idstrs).toEqual(expect.arrayContaining(["spapr", "spapr_drc", "spapr_drc/physical"]));
  });

  it("is refused where the destination does not know walks, and says what; the machine goes on at the source", async () => {
    const { code, out } = await run("--profile", "pseries", "--memory", "4", "--no-ccs");
    expect(code).toBe(1);
    expect(out).toContain("SUBSECTION_UNKNOWN: section spapr/0, subsection spaprccslist");
    expect(out).toContain("card b: 18 of 36 tokens fetched when the machine stood; since then ");
    expect(out).toContain("Not migrated. The machine goes on at the source.");
    expect(out).toContain("Its evidence is whole: nothing lost, repeated or torn.");
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

  it("leaves nothing behind where nobody reads its output any more", async () => {
    const folder = await mkdtemp(join(tmpdir(), "reader-"));
    const [command = "", ...before] = runtime;
    const child = spawn(command, [...before, `${root}apps/reference-machine/src/main.ts`, "--json", "--memory", "4"], {
      env: { ...process.env, TMPDIR: folder },
    });
    const pids: number[] = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      const told = JSON.parse(line);
      if (told.event === "started") pids.push(told.pid);
      if (pids.length === 2) child.stdout.destroy();
    });
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(1);
    expect(await readdir(folder)).toEqual([]);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await rm(folder, { recursive: true });
  });

  it("comes to an end when the source is killed before it has connected", async () => {
    const { code, out } = await runAndHear(["--json", "--memory", "4"], (line) => {
      const told = JSON.parse(line);
      if (told.event === "started" && told.role === "source") process.kill(told.pid, "SIGKILL");
    });
    expect(code).toBe(1);
    expect(events(out).at(-1)).toMatchObject({
      good: false,
      problems: ["source: its process was killed", "Not migrated.", "No evidence was examined."],
    });
  });

  it.each(["source", "destination"])("comes to an end when the %s is killed while pages follow", async (victim) => {
    const pids = new Map<string, number>();
    // Half of RAM follows the guest, for about two seconds.
    const mode = ["--mode", "postcopy", "--memory", "16", "--bandwidth", "4", "--dirty-rate", "48"];
    const { code, out } = await runAndHear(["--json", ...mode], (line) => {
      const told = JSON.parse(line);
      if (told.event === "started") pids.set(told.role, told.pid);
      const pid = pids.get(victim);
      if (pid !== undefined && told.event === "status" && told.status === "postcopy-active") {
        pids.delete(victim);
        process.kill(pid, "SIGKILL");
      }
    });
    expect(code).toBe(1);
    const { good, problems } = events(out).at(-1);
    const lost =
      victim === "source"
        ? "The machine is lost: the connection broke while the only copy of pages was at the source."
        : "The source does not know what became of the machine.";
    expect([good, problems]).toEqual([false, [`${victim}: its process was killed`, lost, "No evidence was examined."]]);
  });

  it("explains itself, and refuses what it does not know", async () => {
    const help = await run("--help");
    expect(help.code).toBe(0);
    for (const option of ["--seed", "--memory", "--dirty-rate", "--json", "--help", "--iommu-last", "--mode", "--busy"])
      expect(help.out).toContain(option);
    const unknown = await run("--fast");
    expect([unknown.code, unknown.out]).toEqual([2, ""]);
    expect(unknown.err).toContain("--fast");
    const noIommu = await run("--profile", "s390-ccw", "--iommu-last");
    expect([noIommu.code, noIommu.err.split("\n")[0]]).toEqual([
      2,
      "--iommu-last is for the profile q35: s390-ccw has no IOMMU",
    ]);
    const elsewhere = await run("--no-ccs");
    expect([elsewhere.code, elsewhere.err.split("\n")[0]]).toEqual([
      2,
      "--no-ccs is for the profile pseries: q35 has no connectors",
    ]);
    const mode = await run("--mode", "hybrid");
    expect([mode.code, mode.err.split("\n")[0]]).toEqual([
      2,
      '--mode takes one of precopy, postcopy, multifd, tls, not "hybrid"',
    ]);
    const channels = await run("--channels", "2");
    expect([channels.code, channels.err.split("\n")[0]]).toEqual([
      2,
      "--channels is for the mode multifd: precopy has one connection",
    ]);
    const idle = await run("--busy", "--dirty-rate", "4");
    expect([idle.code, idle.err.split("\n")[0]]).toEqual([
      2,
      "--busy is a guest that dirties more than can be sent: not 4 MiB/s at a bandwidth of 4",
    ]);
    const range = await run("--memory", "0");
    expect(range.code).toBe(2);
    expect(range.err).toContain('--memory takes a whole number from 1 to 3072 (MiB), not "0"');
  });
});
