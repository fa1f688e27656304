// Whether real QEMU is here, and machines of it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { absent } from "@godwit/test-support/required";
import { type QemuTarget, qemuBinary, qemuVersion } from "../../src/qemu.ts";

/** QEMU judges bytes, and these are the same on every runtime: the suite's matrix asks it once, on Bun. */
export function haveQemu(...targets: QemuTarget[]): boolean {
  if (process.versions["bun"] === undefined) {
    console.warn("tests with live QEMU run on Bun only; they are skipped");
    return false;
  }
  const missing = targets.filter((target) => qemuVersion(target) === undefined).map(qemuBinary);
  return missing.length === 0 || absent("qemu", `no ${missing.join(", ")} on the path`, "tests with live QEMU");
}

/** A file that a machine is started with, in `folder`. */
export function fileOf(folder: string, name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}
