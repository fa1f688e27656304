// Writes package.json's version into src/version.ts: a plugin tells a kernel its own version.
import { readFileSync, writeFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const path = new URL("../src/version.ts", import.meta.url);
writeFileSync(path, readFileSync(path, "utf8").replace(/version = ".*"/, `version = "${version}"`));
