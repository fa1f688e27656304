import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { buildFiles, COMPILER_MAJOR, findToolchain } from "../guest/build.ts";
import { guestImage } from "../src/guest/load-image.ts";
import { IMAGE_MAX_BYTES } from "../src/memory-map.ts";

describe("the guest's image", () => {
  it("is what its source builds to, byte for byte", (context) => {
    const toolchain = findToolchain();
    if (toolchain === undefined) {
      const missing = `clang and ld.lld of version ${COMPILER_MAJOR} are not installed`;
      if (process.env["CI"] === "true") throw new Error(`${missing}: CI must rebuild the guest`);
      console.warn(`guest not rebuilt: ${missing}`);
      context.skip(missing);
      return;
    }
    for (const { path, text } of buildFiles(toolchain)) {
      const committed = readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
      expect(text === committed, `${path} is not what guest/write-image.ts writes`).toBe(true);
    }
  });

  it("leaves the boot and status blocks alone, and begins with the reset code", () => {
    const image = guestImage();
    expect(image.length).toBeGreaterThan(4096);
    expect(image.length).toBeLessThanOrEqual(IMAGE_MAX_BYTES);
    // csrw mie, zero
    expect(new DataView(image.buffer).getUint32(0, true)).toBe(0x3040_1073);
  });
});
