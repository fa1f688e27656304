// Writes the template's golden file, when the template's description or the form of such files has changed: a project
// writes its own, and its names become placeholders again.
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renameInGolden } from "../../src/golden.ts";
import { project } from "../support/project.ts";
import { run } from "../support/run.ts";

// Words that are in no golden file for another reason.
const names = { name: "placeholder-of-package", device: "placeholder-of-device" };
const goldens = new URL("../../template/goldens/", import.meta.url);

const made = project(names);
try {
  rmSync(join(made.folder, "goldens"), { recursive: true, force: true });
  writeFileSync(
    join(made.folder, "vitest.config.ts"),
    `const conditions = ["godwit:source"];\nexport default { resolve: { conditions }, ssr: { resolve: { conditions } } };\n`,
  );
  const { output } = await run(["bun", "--bun", "vitest", "run", "conformance"], made.folder, {
    GODWIT_GOLDENS: "write",
  });
  const paths = globSync("goldens/*.json", { cwd: made.folder });
  if (paths.length !== 1) throw new Error(`one golden file was to be written\n${output}`);
  rmSync(goldens, { recursive: true, force: true });
  mkdirSync(goldens);
  for (const path of paths) {
    const text = renameInGolden(readFileSync(join(made.folder, path), "utf8"), names.device, "__idstr__");
    const neutral = text.replaceAll(names.name, "__package__").replaceAll(names.device, "__idstr__");
    writeFileSync(new URL(`../${path}`, goldens), neutral);
  }
  console.log(output);
} finally {
  made.remove();
}
