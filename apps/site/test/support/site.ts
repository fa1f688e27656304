// The site, built once into a folder of its own, and what its files link to.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { root } from "./blocks.ts";

/** Builds it by the script that `bun run site` starts; the folder. Whoever asked removes it. */
export async function builtSite(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "godwit-site-"));
  const child = spawn(
    join(root, "node_modules/.bin/deno"),
    ["run", "-A", join(root, "apps/site/src/main.ts"), folder],
    {
      cwd: root,
    },
  );
  let told = "";
  child.stdout.on("data", (chunk) => (told += chunk));
  child.stderr.on("data", (chunk) => (told += chunk));
  const code = await new Promise((resolved, reject) => child.on("error", reject).on("close", resolved));
  if (code !== 0) throw new Error(`the site's build ended with ${code}: ${told}`);
  return folder;
}

export const htmlFiles = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".html"));

const attribute = /\b(href|src)="([^"]*)"/g;

/** Links and sources that lead nowhere, each as `page -> address`; an anchor counts as a part of its address. */
export function brokenLinks(folder: string): { readonly broken: string[]; readonly followed: number } {
  const anchors = new Map<string, Set<string>>();
  const anchorsOf = (path: string): Set<string> => {
    const known = anchors.get(path);
    if (known !== undefined) return known;
    const found = new Set(Array.from(readFileSync(path, "utf8").matchAll(/\bid="([^"]*)"/g), ([, id]) => id as string));
    anchors.set(path, found);
    return found;
  };
  const broken: string[] = [];
  let followed = 0;
  for (const page of htmlFiles(folder)) {
    for (const [, , address = ""] of readFileSync(join(folder, page), "utf8").matchAll(attribute)) {
      if (/^(https?|mailto):/.test(address)) continue;
      followed++;
      const [path = "", anchor] = address.replaceAll("&amp;", "&").split("#");
      const target =
        path === "" ? join(folder, page) : resolve(folder, dirname(page), decodeURIComponent(path.split("?")[0] ?? ""));
      const isThere = existsSync(target);
      if (isThere && (!anchor || !target.endsWith(".html") || anchorsOf(target).has(decodeURIComponent(anchor))))
        continue;
      // The theme's script puts its icons into the page.
      if (path === "" && anchor?.startsWith("icon-")) continue;
      broken.push(`${page} -> ${address}`);
    }
  }
  return { broken, followed };
}

/** What a page would fetch from elsewhere: scripts, styles, images, frames, and addresses in style sheets. */
export function outsideFetches(folder: string): string[] {
  const fetching = /<(?:script|img|iframe|source|video|audio|link)\b[^>]*\b(?:src|href)="((?:https?:)?\/\/[^"]*)"/g;
  const styles = readdirSync(join(folder, "assets")).filter((name) => name.endsWith(".css"));
  return [
    ...htmlFiles(folder).flatMap((page) =>
      Array.from(readFileSync(join(folder, page), "utf8").matchAll(fetching), ([, address]) => `${page} -> ${address}`),
    ),
    ...styles.flatMap((name) =>
      Array.from(
        readFileSync(join(folder, "assets", name), "utf8").matchAll(
          /(?:@import|url\()\s*["']?((?:https?:)?\/\/[^"')]*)/g,
        ),
        ([, address]) => `${name} -> ${address}`,
      ),
    ),
  ];
}
