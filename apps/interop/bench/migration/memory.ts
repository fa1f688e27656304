// The guest memory that is measured: a file of random bytes, which QEMU takes as its RAM and Godwit reads into its own; and
// what a process needs beyond it.
import { randomFillSync } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

const pieceBytes = 64 << 20;

/** No page of it is zero, and no two pages of 64 MiB are alike. */
export function writeRandomFile(path: string, bytes: number): void {
  const piece = randomFillSync(new Uint8Array(Math.min(pieceBytes, bytes)));
  const file = openSync(path, "w");
  for (let at = 0; at < bytes; at += piece.length) writeSync(file, piece, 0, Math.min(piece.length, bytes - at));
  closeSync(file);
}

export function readInto(path: string, memory: Uint8Array): void {
  const file = openSync(path, "r");
  for (let at = 0; at < memory.length; ) {
    const length = Math.min(pieceBytes, memory.length - at);
    const read = readSync(file, memory, at, length, at);
    if (read === 0) throw new Error(`${path} ends at ${at}, and ${memory.length} bytes were wanted`);
    at += read;
  }
  closeSync(file);
}

/** The most memory that a process had at a time, as Linux tells it. Bytes. */
export function peakBytes(pid: number | "self"): number {
  const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (found === null) throw new Error(`no peak memory of process ${pid}`);
  return Number(found[1]) * 1024;
}

/** Processor time of a process and all of its threads so far. Source: proc(5), `utime` and `stime`, of 10 ms each. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** What the machine can still give without swapping. Bytes. */
export function availableBytes(): number {
  return Number(/MemAvailable:\s+(\d+) kB/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0) * 1024;
}
