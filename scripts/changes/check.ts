// Finds what a release would do to its users unsaid: see `rule.ts`. Run with `--conditions=godwit:source`.
import { type Dump, dumpOf } from "@godwit/core/tools";
import { presentPlugins } from "../../apps/cli/src/check/plugins.ts";
import { readRepository } from "./repository.ts";
import { checkChanges } from "./rule.ts";

const present = new Map<string, Dump>(
  presentPlugins().map(({ name, version, descriptions }) => [name, dumpOf(descriptions, `${name} ${version}`)]),
);
const repository = readRepository();
const findings = checkChanges({ ...repository, present });
for (const { code, about, place, text, remedy } of findings) {
  console.error(`${about}  ${code}${place === "" ? "" : `  ${place}`}\n  ${text}\n  what to do: ${remedy}`);
}
const { packages, changesets, dumps } = repository;
const published = packages.filter((one) => !one.private).length;
console.log(
  `${published} published packages, ${dumps.length} dumps, ${changesets.length} pending changesets, findings: ${findings.length}`,
);
if (findings.length > 0 || published === 0 || present.size === 0) process.exitCode = 1;
