// The tiny guest of the supplied streams: pages from 2 MiB to 10 MiB hold their own address and the number of the pass
// that wrote them, and each pass prints its number.
import { manifest, readStream } from "@godwit/test-support/streams";
import { expect } from "vitest";
import { machineOptions } from "../../src/command-line.ts";
import { counts, goesOn } from "../../src/counts.ts";
import type { Qemu } from "../../src/qemu.ts";

const name = "tiny-precopy-7.2";

export const memoryBytes = 24 << 20;
export const pageBytes = 4096;
/** Where the guest's pages are. */
export const pagesFrom = 0x20_0000;
export const pagesTo = 0xa0_0000;
export const guestPages = (pagesTo - pagesFrom) / pageBytes;

/** Between these addresses a PC has its display and its ROMs, and `pc.ram` is not what is seen there. */
const holeFrom = 0xa_0000;
const holeTo = 0x10_0000;

export const tinyOptions = (): string[] =>
  machineOptions(manifest().find((one) => one.name === name)?.command_line ?? "");

export const tinyStream = (): Uint8Array => readStream(`${name}.stream`);

/** Names and lengths of the RAM blocks, as the stream lists them. */
export const tinyBlocks = () => manifest().find((one) => one.name === name)?.files[0]?.stream?.ram_blocks ?? [];

/** The pass that the guest was in, or had just finished: the next number that it prints. */
export function passIn(ram: Uint8Array): number {
  return new DataView(ram.buffer, ram.byteOffset).getUint32(pagesFrom + 4, true);
}

/** Addresses of pages that differ, where `pc.ram` is seen at its own addresses. */
export function differing(a: Uint8Array, b: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at < memoryBytes; at += pageBytes) {
    if (at >= holeFrom && at < holeTo) continue;
    if (Buffer.compare(a.subarray(at, at + pageBytes), b.subarray(at, at + pageBytes)) !== 0) found.push(at);
  }
  return found;
}

/** How many pages hold their own address: a guest that did not run would have none. */
export function pagesInPlace(ram: Uint8Array): number {
  const view = new DataView(ram.buffer, ram.byteOffset);
  let found = 0;
  for (let at = pagesFrom; at < pagesTo; at += pageBytes) if (view.getUint32(at, true) === at) found++;
  return found;
}

/** Lets it run: it prints the pass after those that its source printed, and so on. */
export async function expectToCountFrom(qemu: Qemu, pass: number): Promise<void> {
  await qemu.qmp("cont");
  await qemu.until(() => counts(qemu.serial).length >= 2, "counting");
  expect(goesOn("", qemu.serial)).toMatchObject({ from: pass, gaps: [] });
  expect(qemu.stderr).not.toMatch(/error|fail/i);
}
