/** Builds the guest and the test programs and writes them to their places: `bun guest/write-image.ts`. */
import { writeFileSync } from "node:fs";
import { buildFiles, COMPILER_MAJOR, findToolchain } from "./build.ts";

const toolchain = findToolchain();
if (toolchain === undefined) throw new Error(`clang and ld.lld of version ${COMPILER_MAJOR} are needed`);
for (const file of buildFiles(toolchain)) {
  writeFileSync(new URL(`../${file.path}`, import.meta.url), file.text);
  console.log(`${file.path}: ${file.text.length} characters`);
}
