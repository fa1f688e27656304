// The workspaces of this repository as their folders and manifests say.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Manifest {
  readonly name: string;
  readonly version?: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

export interface Workspace {
  /** Path from the root of the repository, such as `plugins/virtio-net`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export const repositoryRoot = join(import.meta.dirname, "..");

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(repositoryRoot, folder, "package.json"), "utf8"));
}

export function readWorkspaces(): Workspace[] {
  return ["packages", "plugins", "apps"]
    .flatMap((kind) => readdirSync(join(repositoryRoot, kind)).map((name) => `${kind}/${name}`))
    .filter((folder) => existsSync(join(repositoryRoot, folder, "package.json")))
    .sort()
    .map((folder) => ({ folder, manifest: readManifest(folder) }));
}
