// The CPU's worker on the runtime that runs the tests.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { WorkerPort } from "../../src/cpu/messages.ts";
import { nodeWorker } from "../../src/workers/node.ts";
import { webWorker } from "../../src/workers/web.ts";

const isNode = !("bun" in process.versions || "deno" in process.versions);
const source = (name: string) => new URL(`../../src/cpu/${name}`, import.meta.url);
let bundle: Promise<URL> | undefined;
let folder: string | undefined;

// Whichever file is the last to use it.
process.once("exit", () => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

export async function startWorker(): Promise<WorkerPort> {
  if (!isNode) return webWorker(source("worker-web.ts"));
  bundle ??= bundleForNode();
  return nodeWorker(await bundle);
}

/** A worker whose module does not exist. */
export function missingWorker(): WorkerPort {
  return isNode ? nodeWorker(source("missing.mjs")) : webWorker(source("missing.ts"));
}

/** Node 20 does not run TypeScript. */
async function bundleForNode(): Promise<URL> {
  folder = await mkdtemp(join(tmpdir(), "godwit-worker-"));
  const outfile = join(folder, "worker.mjs");
  const bun = fileURLToPath(new URL("../../../../node_modules/.bin/bun", import.meta.url));
  const child = spawn(bun, ["build", fileURLToPath(source("worker-node.ts")), "--target=node", `--outfile=${outfile}`]);
  let told = "";
  child.stderr.on("data", (chunk) => (told += chunk));
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) throw new Error(`bun build ended with ${code}: ${told}`);
  return pathToFileURL(outfile);
}
