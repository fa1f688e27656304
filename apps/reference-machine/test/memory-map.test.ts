import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as map from "../src/memory-map.ts";

function readHeader(): Record<string, number> {
  const text = readFileSync(new URL("../guest/memory-map.h", import.meta.url), "utf8");
  const entries = [...text.matchAll(/^#define (\w+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]);
  return Object.fromEntries(entries);
}

describe("memory map", () => {
  it("is the same for the machine and for the guest", () => {
    expect(readHeader()).toEqual({ ...map });
  });

  it("has no two regions that overlap", () => {
    const regions: [string, number, number][] = [
      ["timer", map.TIMER_BASE, map.TIMER_BYTES],
      ["interrupt controller", map.INTERRUPT_BASE, map.INTERRUPT_BYTES],
      ["console", map.CONSOLE_BASE, map.CONSOLE_BYTES],
      ["channel subsystem", map.CHANNEL_BASE, map.CHANNEL_BYTES],
      ["RTAS", map.RTAS_BASE, map.RTAS_BYTES],
      ["VT-d", map.VTD_BASE, map.VTD_BYTES],
      ["PCI window", map.PCI_WINDOW_BASE, map.PCI_WINDOW_BYTES],
      ["ECAM", map.ECAM_BASE, map.ECAM_BYTES],
      ["RAM", map.RAM_BASE, map.RAM_MAX_BYTES],
    ];
    let end = 0;
    for (const [name, base, bytes] of regions.sort((a, b) => a[1] - b[1])) {
      expect(base, name).toBeGreaterThanOrEqual(end);
      end = base + bytes;
    }
    expect(end).toBe(2 ** 32);
  });

  it.each(["ERROR_", "STAGE_", "CARD_STAGE_", "PROFILE_"])("gives each %s a number of its own", (prefix) => {
    const numbers = Object.entries(map).flatMap(([name, number]) => (name.startsWith(prefix) ? [number] : []));
    expect(numbers.length).toBeGreaterThan(2);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it("has no two blocks that overlap, and none beyond their pages", () => {
    const blocks: [string, number, number][] = [
      ["boot", map.BOOT_BLOCK_OFFSET, map.BOOT_BLOCK_BYTES],
      ["status", map.STATUS_BLOCK_OFFSET, map.STATUS_BLOCK_BYTES],
      ["cards", map.CARD_BLOCK_OFFSET, map.CARD_COUNT * map.CARD_BLOCK_BYTES],
      ["channels", map.CHANNEL_BLOCK_OFFSET, map.CHANNEL_BLOCK_BYTES],
    ];
    let end = map.IMAGE_MAX_BYTES;
    for (const [name, offset, bytes] of blocks.sort((a, b) => a[1] - b[1])) {
      expect(offset, name).toBeGreaterThanOrEqual(end);
      end = offset + bytes;
    }
    // guest.ld: the guest's zeros begin behind the two pages.
    expect(end).toBeLessThanOrEqual(map.IMAGE_MAX_BYTES + 2 * map.PAGE_BYTES);
  });

  it("gives each field of the blocks a word of its own, and no word to nobody", () => {
    for (const [prefix, bytes] of [
      ["BOOT_BLOCK_", map.BOOT_BLOCK_BYTES],
      ["STATUS_BLOCK_", map.STATUS_BLOCK_BYTES],
      ["CARD_BLOCK_", map.CARD_BLOCK_BYTES],
      ["CHANNEL_BLOCK_", map.CHANNEL_BLOCK_BYTES],
    ] as const) {
      const offsets = Object.entries(map)
        .filter(([name]) => name.startsWith(prefix) && name !== `${prefix}BYTES` && name !== `${prefix}OFFSET`)
        .map(([, offset]) => offset)
        .sort((a, b) => a - b);
      expect(offsets, prefix).toEqual(Array.from({ length: bytes / 4 }, (_, index) => 4 * index));
    }
  });
});
