// Writes src/guest-images.ts.
import { writeFileSync } from "node:fs";
import { builtImages, findClang, toolMajor } from "./build.ts";

const clang = findClang();
if (clang === undefined) throw new Error(`clang of version ${toolMajor} is not installed`);
writeFileSync(new URL("../src/guest-images.ts", import.meta.url), builtImages(clang));
