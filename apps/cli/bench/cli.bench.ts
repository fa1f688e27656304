// The whole command, start-up included, beside QEMU's own analysis script, a bare start of the runtime, and a process
// that reads a pipe and throws away what it reads. Medians of runs that take turns. GODWIT_ANALYZE_SCRIPT names QEMU's script, which is
// run as it is and is no part of this project; without it its column is empty.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environmentValue } from "@godwit/test-support/required";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { largeStream } from "./large-stream.ts";

const runs = 9;
const startRuns = 20;
const streams = ["q35-bare-7.2", "q35-vtd-virtio-7.2", "pseries-bare-7.2"];
const largeBytes = 841_000_000;

const folder = mkdtempSync(join(tmpdir(), "godwit-bench-"));
const script = environmentValue("GODWIT_ANALYZE_SCRIPT");
const bun = process.execPath;

interface Program {
  readonly name: string;
  readonly command: readonly string[];
  /** Of the shell, for a pipe. */
  readonly shell?: boolean;
  /** Somebody else's: it may not read every stream. */
  readonly mayFail?: boolean;
}

/** Milliseconds (NaN for one that fails), the median of `count` runs of each, in turns, so that a busy moment of the machine hits all of them. */
function medians(programs: readonly Program[], count: number): number[] {
  const times = programs.map((): number[] => []);
  for (let run = -1; run < count; run++) {
    for (const [i, { name, command, shell = false, mayFail = false }] of programs.entries()) {
      const [first = "", ...rest] = shell ? ["sh", "-c", command.join(" ")] : command;
      const began = performance.now();
      const { status, stderr } = spawnSync(first, rest, { stdio: ["ignore", "ignore", "pipe"], maxBuffer: 1 << 30 });
      const took = performance.now() - began;
      if (status !== 0 && mayFail) continue;
      if (status !== 0) throw new Error(`${name}: exit ${status}: ${String(stderr)}`);
      // The first round warms the page cache.
      if (run >= 0) times[i]?.push(took);
    }
  }
  return times.map((one) => one.toSorted((a, b) => a - b)[one.length >> 1] ?? Number.NaN);
}

/** As it is published: one bundle, its verbs in chunks of their own. */
function built(): string {
  const out = join(folder, "bin");
  const source = join(import.meta.dirname, "../src/main.ts");
  const { status, stderr } = spawnSync(
    bun,
    ["build", source, "--target=node", "--splitting", "--conditions=godwit:source", `--outdir=${out}`],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(stderr);
  return join(out, "main.js");
}

const ms = (value: number | undefined): string =>
  value === undefined ? "-" : Number.isNaN(value) ? "fails" : `${value.toFixed(0)} ms`;
const times = (a: number | undefined, b: number): string =>
  a === undefined || Number.isNaN(a) ? "-" : `${(a / b).toFixed(1)}x`;

function row(...cells: readonly string[]): void {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(34) : cell.padStart(14))).join(" "));
}

function fromFiles(main: string, files: readonly (readonly [string, string])[]): void {
  row("from a file", "inspect", "QEMU's script", "it takes");
  for (const [name, path] of files) {
    const programs: Program[] = [{ name: "inspect", command: [bun, main, "inspect", path] }];
    if (script !== undefined)
      programs.push({ name: "script", command: ["python3", script, "-f", path], mayFail: true });
    const [own = Number.NaN, other] = medians(programs, runs);
    row(name, ms(own), ms(other), times(other, own));
  }
}

function fromPipes(main: string, files: readonly (readonly [string, string])[]): void {
  const discard = join(folder, "discard.mjs");
  writeFileSync(
    discard,
    `import { readSync } from "node:fs";
const into = new Uint8Array(1 << 20);
for (;;) {
  try {
    if (readSync(0, into) === 0) break;
  } catch (error) {
    if (error.code !== "EAGAIN") throw error;
  }
}
`,
  );
  row("from a pipe", "inspect", "read, discard", "speed of that");
  for (const [name, path] of files) {
    const [own = Number.NaN, plain = Number.NaN] = medians(
      [
        { name: "inspect", command: ["cat", path, "|", bun, main, "inspect", "-"], shell: true },
        { name: "discard", command: ["cat", path, "|", bun, discard], shell: true },
      ],
      runs,
    );
    row(name, ms(own), ms(plain), `${((100 * plain) / own).toFixed(0)}%`);
  }
}

function starts(main: string): void {
  const [own = Number.NaN, bare = Number.NaN] = medians(
    [
      { name: "--version", command: [bun, main, "--version"] },
      { name: "bun -e 0", command: [bun, "-e", "0"] },
    ],
    startRuns,
  );
  row("start-up", "--version", "bun -e 0", "beside it");
  row(`median of ${startRuns}`, ms(own), ms(bare), times(own, bare));
}

export default async function bench(): Promise<void> {
  if (!haveStreams()) return;
  try {
    const main = built();
    const files = streams.map((name): readonly [string, string] => {
      const path = join(folder, name);
      writeFileSync(path, readStream(`${name}.stream`));
      return [`${name} (${(readFileSync(path).length / 1e6).toFixed(1)} MB)`, path];
    });
    const large = join(folder, "large");
    largeStream(readStream("q35-vtd-virtio-7.2.stream"), large, largeBytes);
    files.push(["its pages sent again, 841 MB", large]);
    fromFiles(main, files);
    fromPipes(main, files.slice(1));
    starts(main);
    if (script === undefined) console.log("GODWIT_ANALYZE_SCRIPT names no script: nothing to compare with");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
