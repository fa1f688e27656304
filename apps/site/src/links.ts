// Links of a page of the repository, as they are on the site: what has a page there leads to it, all else is named.
import { posix } from "node:path";

export interface SiteFiles {
  /** Whether a file or folder, from the repository's root, has a page on the site. */
  hasPage(target: string): boolean;
  exists(target: string): boolean;
}

/**
 * Rewrites the relative links of a Markdown text. What has a page stays a link; any other file is in the repository only,
 * and becomes its name. Throws where there is no such file.
 */
export function siteLinks(text: string, path: string, { hasPage, exists }: SiteFiles): string {
  return outsideCode(text, (prose) =>
    prose.replaceAll(/\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g, (link, label: string, address: string) => {
      if (/^(?:[a-z]+:|#)/.test(address)) return link;
      const [file = "", anchor] = address.split("#");
      const target = posix.join(posix.dirname(path), file).replace(/\/$/, "");
      if (hasPage(target)) return `[${label}](${file}${anchor === undefined ? "" : `#${anchor}`})`;
      if (!exists(target)) throw new Error(`${path} links to ${target}, which does not exist`);
      return label.includes(posix.basename(target)) ? label : `${label} (\`${target}\`)`;
    }),
  );
}

/** Applies `change` to what is neither a fenced block nor code in a line. */
function outsideCode(text: string, change: (prose: string) => string): string {
  return text
    .split(/(^```[\s\S]*?^```$)/m)
    .map((part, i) => (i % 2 === 1 ? part : change(part)))
    .join("");
}
