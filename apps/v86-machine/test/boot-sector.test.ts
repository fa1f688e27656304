import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { builtSector, findToolchain, toolMajor } from "../guest/build.ts";
import { bootDisk } from "../src/guest/boot-disk.ts";

describe("the boot sector", () => {
  it("is what its source builds to, byte for byte", (context) => {
    const toolchain = findToolchain();
    if (toolchain === undefined) {
      const missing = `clang and ld.lld of version ${toolMajor} are not installed`;
      if (process.env["CI"] === "true") throw new Error(`${missing}: CI must rebuild the guest`);
      console.warn(`boot sector not rebuilt: ${missing}`);
      context.skip(missing);
      return;
    }
    const committed = readFileSync(new URL("../src/guest/boot-sector.ts", import.meta.url), "utf8");
    expect(builtSector(toolchain) === committed, "guest/write-sector.ts writes another sector").toBe(true);
  });

  it("is one that a BIOS boots, at the front of a floppy disk of 160 KiB", () => {
    const disk = bootDisk();
    expect(disk.length).toBe(163_840);
    expect([...disk.subarray(510, 513)]).toEqual([0x55, 0xaa, 0]);
    // cli, cld, a far jump
    expect([...disk.subarray(0, 3)]).toEqual([0xfa, 0xfc, 0xea]);
  });
});
