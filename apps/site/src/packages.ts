// The packages that are published, as the site shows them: their entries, core first.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface PackageEntry {
  /** As it is imported: `@godwit/core/stream`. */
  readonly name: string;
  /** Its source, from the repository's root. */
  readonly source: string;
}

export interface PublishedPackage {
  readonly name: string;
  /** From the repository's root: `plugins/virtio-net`. */
  readonly folder: string;
  readonly description: string;
  readonly entries: readonly PackageEntry[];
}

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly description: string;
  readonly exports?: Readonly<Record<string, string | { readonly "godwit:source": string }>>;
}

/** What is re-exported belongs to the first entry that shows it, so the order is part of the site. */
const folders = ["packages", "plugins", "apps"];
const first = ["packages/core", "packages/migration", "packages/transport", "packages/testkit", "apps/cli"];

export function publishedPackages(root: string): PublishedPackage[] {
  const found = folders
    .flatMap((kind) => readdirSync(join(root, kind)).map((name) => `${kind}/${name}`))
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .map((folder) => ({ folder, manifest: readManifest(join(root, folder, "package.json")) }))
    .filter(({ manifest }) => manifest.private !== true);
  const place = (folder: string) => (first.includes(folder) ? first.indexOf(folder) : first.length);
  return found
    .sort((a, b) => place(a.folder) - place(b.folder) || (a.folder < b.folder ? -1 : 1))
    .map(({ folder, manifest }) => ({
      name: manifest.name,
      folder,
      description: manifest.description,
      entries: Object.entries(manifest.exports ?? {}).flatMap(([path, target]) =>
        typeof target === "string"
          ? []
          : [{ name: `${manifest.name}${path.slice(1)}`, source: join(folder, target["godwit:source"]) }],
      ),
    }));
}

const readManifest = (path: string): Manifest => JSON.parse(readFileSync(path, "utf8")) as Manifest;
