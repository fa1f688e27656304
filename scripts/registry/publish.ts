// Publishes every package of this repository whose version the registry does not have yet, what others need first. The
// release workflow runs this file, and the journey calls it with a registry of its own: what is tried is what is released.
//   bun scripts/registry/publish.ts [--dry-run] [--provenance]
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunResult, run } from "../run.ts";
import { type Manifest, readWorkspaces, repositoryRoot, type Workspace } from "../workspaces.ts";
import { inOrder } from "./order.ts";
import { manifestFindings } from "./packed.ts";

export interface PublishOptions {
  /** By default the one that npm is configured with. */
  readonly registryUrl?: string;
  /** Packs and looks at everything, and publishes nothing. */
  readonly dryRun?: boolean;
  /** Signed by the workflow that builds it; npm can do that in CI alone. */
  readonly provenance?: boolean;
  /** Runs `npm`; by default in this process's own environment. */
  readonly npm?: (args: readonly string[], cwd: string) => Promise<RunResult>;
  readonly log?: (line: string) => void;
}

export interface Published {
  readonly name: string;
  readonly version: string;
  /** `known`: the registry had this version. */
  readonly done: "published" | "known" | "packed";
}

/** Needs `bun run build`. Stops at the first package that fails: what depends on it must not be there without it. */
export async function publishAll(options: PublishOptions = {}): Promise<Published[]> {
  const { dryRun = false, provenance = false, log = () => {} } = options;
  const npm = options.npm ?? ((args, cwd) => run("npm", args, cwd));
  const registryUrl = options.registryUrl ?? (await configuredRegistry());
  const packages = inOrder(readWorkspaces().filter(({ manifest }) => !manifest.private));
  const folder = mkdtempSync(join(tmpdir(), "godwit-publish-"));
  const all: Published[] = [];
  try {
    for (const workspace of packages) {
      const { name, version = "" } = workspace.manifest;
      const known = await hasVersion(registryUrl, name, version);
      if (!known) {
        const tarball = await pack(workspace, folder);
        if (!dryRun) {
          const flags = ["--access", "public", "--registry", registryUrl, ...(provenance ? ["--provenance"] : [])];
          orThrow(await npm(["publish", tarball, ...flags], folder), `npm publish of ${name}@${version}`);
        }
      }
      const done = known ? "known" : dryRun ? "packed" : "published";
      all.push({ name, version, done });
      log(`${done.padEnd("published".length)}  ${name}@${version}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return all;
}

/** The registry that npm is configured with. */
export async function configuredRegistry(): Promise<string> {
  const output = orThrow(await run("npm", ["config", "get", "registry", "--loglevel=error"]), "npm config");
  // What npm warns of stands before its answer.
  const url = output.trim().split("\n").at(-1) ?? "";
  return url.endsWith("/") ? url : `${url}/`;
}

async function hasVersion(registryUrl: string, name: string, version: string): Promise<boolean> {
  const response = await fetch(registryUrl + name.replace("/", "%2f"));
  if (response.status === 404) return false;
  if (!response.ok) throw new Error(`${registryUrl} answers ${response.status} for ${name}`);
  const { versions = {} } = (await response.json()) as { versions?: Record<string, unknown> };
  return Object.hasOwn(versions, version);
}

/** A tarball as `bun pm pack` makes it, whose manifest names nothing that only this repository has. */
async function pack({ folder, manifest }: Workspace, into: string): Promise<string> {
  const tarball = join(into, `${manifest.name.replace("/", "-")}-${manifest.version}.tgz`);
  const source = join(repositoryRoot, folder);
  orThrow(
    await run("bun", ["pm", "pack", "--quiet", "--filename", tarball], source),
    `bun pm pack of ${manifest.name}`,
  );
  const files = orThrow(await run("tar", ["-tzf", tarball]), "tar")
    .trim()
    .split("\n");
  orThrow(await run("tar", ["-xzf", tarball, "-C", into, "package/package.json"]), "tar");
  const packed: Manifest = JSON.parse(readFileSync(join(into, "package/package.json"), "utf8"));
  const findings = manifestFindings(
    packed,
    files.map((file) => file.replace("package/", "./")),
  );
  if (findings.length > 0) throw new Error(`${manifest.name} is not fit to be published:\n${findings.join("\n")}`);
  return tarball;
}

function orThrow({ exitCode, output }: RunResult, what: string): string {
  if (exitCode !== 0) throw new Error(`${what} ended with ${exitCode}:\n${output}`);
  return output;
}

if (import.meta.main) {
  const known = ["--dry-run", "--provenance"];
  const flags = process.argv.slice(2);
  const unknown = flags.filter((flag) => !known.includes(flag));
  if (unknown.length > 0) throw new Error(`not known: ${unknown.join(" ")}; known: ${known.join(" ")}`);
  const all = await publishAll({
    dryRun: flags.includes("--dry-run"),
    provenance: flags.includes("--provenance"),
    log: (line) => console.log(line),
  });
  const count = (done: Published["done"]) => all.filter((one) => one.done === done).length;
  console.log(
    `publish: ${count("published")} published, ${count("packed")} packed only, ${count("known")} known before`,
  );
}
