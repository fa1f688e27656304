// For those who want to try what is not out yet: builds every package, publishes it to a registry on this machine, and
// serves that until it is stopped.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../run.ts";
import { readWorkspaces } from "../workspaces.ts";
import { configuredRegistry, publishAll } from "./publish.ts";
import { startRegistry } from "./registry.ts";

const built = await run("turbo", ["run", "build", "--output-logs=errors-only", "--no-update-notifier"]);
if (built.exitCode !== 0) {
  console.error(built.output);
  process.exit(1);
}
const own = readWorkspaces().map(({ manifest }) => manifest.name);
const registry = await startRegistry({ upstream: await configuredRegistry(), own });
// npm publishes nothing without a token; this registry takes any.
const folder = mkdtempSync(join(tmpdir(), "godwit-registry-"));
const settings = join(folder, ".npmrc");
writeFileSync(settings, `${registry.url.replace(/^https?:/, "")}:_authToken=local\n`);
try {
  await publishAll({
    registryUrl: registry.url,
    npm: (args, cwd) => run("npm", [...args, `--userconfig=${settings}`], cwd),
    log: (line) => console.log(line),
  });
} finally {
  rmSync(folder, { recursive: true });
}
console.log(`serving until Ctrl+C; in your folder: export NPM_CONFIG_REGISTRY=${registry.url}`);
