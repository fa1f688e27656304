// A project made for a test, in a folder of this workspace: the packages that it imports are found, from source.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CreateOptions, createPlugin } from "../../src/index.ts";

const area = fileURLToPath(new URL("../../.generated/", import.meta.url));

export interface Project {
  readonly folder: string;
  readonly files: readonly string[];
  remove(): void;
}

/** An empty folder. */
export function scratch(): { readonly folder: string; remove(): void } {
  mkdirSync(area, { recursive: true });
  const folder = mkdtempSync(area);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export function project(options: Omit<CreateOptions, "folder">): Project {
  const { folder, remove } = scratch();
  const place = join(folder, "project");
  const { files } = createPlugin({ ...options, folder: place });
  return { folder: place, files, remove };
}
