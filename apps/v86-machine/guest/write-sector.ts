/** Assembles the boot sector and writes it to its place: `bun guest/write-sector.ts`. */
import { writeFileSync } from "node:fs";
import { builtSector, findToolchain, toolMajor } from "./build.ts";

const toolchain = findToolchain();
if (toolchain === undefined) throw new Error(`clang and ld.lld of version ${toolMajor} are needed`);
writeFileSync(new URL("../src/guest/boot-sector.ts", import.meta.url), builtSector(toolchain));
