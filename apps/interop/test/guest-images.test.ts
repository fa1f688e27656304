// The committed guests are what their sources assemble to.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { builtImages, findClang, toolMajor } from "../guest/build.ts";

it("the guests are what their sources assemble to, byte for byte", (context) => {
  const clang = findClang();
  if (clang === undefined) {
    const missing = `clang of version ${toolMajor} is not installed`;
    if (process.env["CI"] === "true") throw new Error(`${missing}: CI must assemble the guests`);
    console.warn(`guests not assembled: ${missing}`);
    context.skip(missing);
    return;
  }
  const committed = readFileSync(new URL("../src/guest-images.ts", import.meta.url), "utf8");
  expect(builtImages(clang) === committed, "guest/write-images.ts writes others").toBe(true);
});
