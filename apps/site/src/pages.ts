// The pages that people wrote, and those that are generated beside them, in the order in which the site offers them.
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

export interface PageGroup {
  readonly title: string;
  /** From the repository's root. */
  readonly files: readonly string[];
}

export const firstPage = "docs/index.md";

export const pageGroups: readonly PageGroup[] = [
  {
    title: "Guides",
    files: [
      "docs/guides/ten-minutes.md",
      "docs/guides/write-a-device.md",
      "docs/guides/order.md",
      "docs/guides/iterable.md",
      "docs/releases.md",
      "docs/guides/versions.md",
      "docs/guides/publish-a-plugin.md",
      "docs/guides/emulator.md",
      "docs/guides/vmstate-macros.md",
      "docs/guides/hand-over.md",
    ],
  },
  {
    title: "Reference",
    files: [
      "docs/errors.md",
      "apps/cli/README.md",
      "docs/cli.md",
      "docs/check.md",
      "docs/versions.md",
      "docs/jsr.md",
      "docs/live-migration.md",
      "docs/coverage.md",
      "docs/cli-table.md",
      "apps/v86-machine/README.md",
    ],
  },
];

export interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly title: string;
  /** Without its title: the site prints that itself. */
  readonly text: string;
}

/** A page's title is its first line, `# Title`. */
export function readPage(root: string, path: string): Page {
  const text = readFileSync(join(root, path), "utf8");
  const [, title, rest] = /^# (.+)\n([\s\S]*)$/.exec(text) ?? [];
  if (title === undefined || rest === undefined) throw new Error(`${path} does not begin with "# Title"`);
  return { path, title: title.replaceAll("`", ""), text: rest };
}

/** Where a page is on the site: `docs/guides/order.md` is `guides/order.html`, a package's README `packages/NAME.html`. */
export function addressOf(path: string): string {
  if (path === firstPage) return "index";
  if (path.startsWith("docs/")) return path.slice("docs/".length, -".md".length);
  return `packages/${basename(dirname(path))}`;
}
