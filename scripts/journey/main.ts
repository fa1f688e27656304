// The road of a package, tried for real on this machine: published to a registry of its own, installed and used from there
// by new users and by authors of plugins. One command, a line a step: `bun run journey`.
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configuredRegistry } from "../registry/publish.ts";
import { startRegistry } from "../registry/registry.ts";
import { readWorkspaces } from "../workspaces.ts";
import type { Journey, Step } from "./journey.ts";
import { makeShell } from "./shell.ts";
import { newUser } from "./steps/new-user.ts";
import { again, build, online, publish, readBack } from "./steps/publish.ts";
import { thirdParty } from "./steps/third-party.ts";
import { typescript } from "./steps/typescript.ts";
import { versions } from "./steps/versions.ts";

const steps: readonly Step[] = [
  online,
  build,
  publish,
  readBack,
  again,
  ...newUser,
  ...typescript,
  ...versions,
  ...thirdParty,
];

/** Names that only this journey publishes, beside those of this repository. */
const journeyNames = ["@godwit/", "@acme/", "godwit-plugin-tod"];

// The real path: compilers and runtimes tell files by it.
const root = realpathSync(mkdtempSync(join(tmpdir(), "godwit-journey-")));
const registry = await startRegistry({
  upstream: await configuredRegistry(),
  own: [...journeyNames, ...readWorkspaces().map(({ manifest }) => manifest.name)],
});
const shell = makeShell(root, registry.url);
const journey: Journey = {
  root,
  registry,
  shell,
  user(name) {
    const folder = join(root, name);
    mkdirSync(folder);
    return folder;
  },
};

async function end(): Promise<void> {
  shell.end();
  await registry.close();
  rmSync(root, { recursive: true, force: true, maxRetries: 3 });
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void end().finally(() => process.exit(1));
  });
}

const seconds = (sinceMs: number) => `${((Date.now() - sinceMs) / 1000).toFixed(1)} s`;
const startMs = Date.now();
let tried = 0;
let failed = 0;
try {
  for (const step of steps) {
    const stepMs = Date.now();
    tried++;
    try {
      const note = await step.run(journey);
      console.log(`ok  ${step.name}${note === undefined ? "" : `: ${note}`} (${seconds(stepMs)})`);
    } catch (error) {
      failed++;
      console.log(error instanceof Error ? error.message : String(error));
      console.log(`FAIL  ${step.name} (${seconds(stepMs)})`);
      if (step.first) {
        console.log(`${steps.length - tried} steps behind it were not tried`);
        break;
      }
    }
  }
} finally {
  await end();
}
console.log(`journey: ${tried} steps, ${failed} failed (${seconds(startMs)})`);
process.exit(failed === 0 ? 0 : 1);
