// Serves the page to look at, on Bun.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { serve } from "./serve.ts";

const usage = "bun run two-tabs [--port N] [a stream that QEMU has saved]; the port is 8008 by default";

function argumentsOf() {
  try {
    return parseArgs({
      options: { port: { type: "string", default: "8008" }, help: { type: "boolean", default: false } },
      allowPositionals: true,
    });
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${usage}`);
    process.exit(2);
  }
}

const { values, positionals } = argumentsOf();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const source = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Scripts by their names, made of the sources as they are now. */
async function scripts(): Promise<Map<string, Uint8Array>> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-two-tabs-"));
  try {
    const entries = ["page.ts", "worker.ts", "meeting.ts"].map(source);
    const flags = ["--target=browser", "--conditions=godwit:source", `--outdir=${folder}`];
    const bundler = spawn(process.execPath, ["build", ...entries, ...flags], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const code = await new Promise((resolve) => bundler.once("close", resolve));
    if (code !== 0) throw new Error("the page's scripts could not be bundled");
    const names = (await readdir(folder)).filter((name) => name.endsWith(".js"));
    return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const files = await scripts();
for (const name of ["page.html", "page.css"]) files.set(name, await readFile(source(name)));
const [stream] = positionals;
if (stream !== undefined) files.set("qemu.stream", await readFile(stream));
const { url } = await serve(files, Number(values.port));
console.log(`open ${url} in a browser, and once more in another tab`);
