// Writes the golden save of each release that has none. An existing one is never written again: a release that is out
// cannot change what it wrote.
import { existsSync, writeFileSync } from "node:fs";
import { busy, goldenName, releases, saveOf } from "./golden.ts";

for (const release of releases) {
  const file = new URL(`golden/${goldenName(release)}`, import.meta.url);
  if (existsSync(file)) continue;
  const save = await saveOf(busy[release]());
  writeFileSync(file, save);
  console.log(`${goldenName(release)}: ${save.length} bytes`);
}
