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

export function readManifest(folder: string, root = repositoryRoot): Manifest {
  return JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
}

/** `root`: of another copy of the repository. */
export function readWorkspaces(root = repositoryRoot): Workspace[] {
  return ["packages", "plugins", "apps"]
    .flatMap((kind) => readdirSync(join(root, kind)).map((name) => `${kind}/${name}`))
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .sort()
    .map((folder) => ({ folder, manifest: readManifest(folder, root) }));
}
