// The dumps of published versions: what `godwit check --plugins FOLDER --write` wrote, by plugin, the oldest first.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Dump } from "@godwit/core/tools";
import { compareVersions } from "./bump.ts";

export interface PublishedDump {
  /** Without the scope: `virtio-net`. */
  readonly plugin: string;
  readonly version: string;
  readonly dump: Dump;
}

const name = /^(.+)-(\d+\.\d+\.\d+)\.json$/;

export function readDumps(folder: string): PublishedDump[] {
  return readdirSync(folder)
    .map((file) => {
      const [, plugin, version] = name.exec(file) ?? [];
      if (plugin === undefined || version === undefined) throw new Error(`${file} is not named PLUGIN-1.2.3.json`);
      return { plugin, version, dump: JSON.parse(readFileSync(join(folder, file), "utf8")) as Dump };
    })
    .sort((a, b) => (a.plugin === b.plugin ? compareVersions(a.version, b.version) : a.plugin < b.plugin ? -1 : 1));
}
