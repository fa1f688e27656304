// Writes src/ranges.ts; the build calls it, so that what is published has the versions of that day.
import { writeFileSync } from "node:fs";
import { rangesText } from "./ranges.ts";

writeFileSync(new URL("../../src/ranges.ts", import.meta.url), rangesText());
