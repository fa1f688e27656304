// docs/versions.md says what the published dumps say, and goes on saying it when there are many versions.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { since, subsection, u8, u16, vmstate } from "@godwit/core";
import { dumpOf } from "@godwit/core/tools";
import { describe, expect, it } from "vitest";
import { compareVersions } from "../changes/bump.ts";
import type { PublishedDump } from "../changes/dumps.ts";
import { publishedDumps } from "../changes/repository.ts";
import { versionsPage } from "../versions/table.ts";
import { repositoryRoot } from "../workspaces.ts";

it("the page is that of the dumps: else run `bun --conditions=godwit:source scripts/versions/write.ts`", () => {
  const page = readFileSync(join(repositoryRoot, "docs", "versions.md"), "utf8");
  expect(page).toBe(versionsPage(publishedDumps()));
  for (const { plugin, version } of publishedDumps()) expect(versionsIn(page, plugin), plugin).toContain(version);
});

/** Which published versions stand in a plugin's table: a line is of one, or of all from one to another. */
function versionsIn(page: string, plugin: string): string[] {
  const [, text = ""] = page.split(`\n## ${plugin}\n`);
  const [own = ""] = text.split("\n## ");
  const cells = [...own.matchAll(/^\| (\d\S*)(?: to (\S+))? +\|/gm)];
  const all = publishedDumps().filter((one) => one.plugin === plugin);
  return all.flatMap(({ version }) => {
    const isIn = cells.some(([, low = "", high = low]) => {
      return compareVersions(low, version) <= 0 && compareVersions(version, high) <= 0;
    });
    return isIn ? [version] : [];
  });
}

describe("of many versions", () => {
  const timeout = subsection({
    ...{ name: "uart/timeout", version: 2, minimumVersion: 1, fields: { ticks: u16 } },
    needed: (own: { ticks: number }) => own.ticks !== 0,
    absent: { ticks: 0 },
  });
  const first = vmstate({ name: "uart", version: 1, fields: { lcr: u8 } });
  const second = vmstate({ name: "uart", version: 1, fields: { lcr: u8 }, subsections: { timeout } });
  const third = vmstate({
    ...{ name: "uart", version: 2, minimumVersion: 1 },
    fields: { lcr: u8, baud: since(2, u16, { absent: 0 }) },
    subsections: { timeout },
  });
  const of = (version: string, ...descriptions: Parameters<typeof dumpOf>[0]): PublishedDump => ({
    ...{ plugin: "uart", version, dump: dumpOf(descriptions, `uart ${version}`) },
  });
  const linesOf = (...dumps: PublishedDump[]) =>
    versionsPage(dumps)
      .split("\n")
      .filter((line) => /^\| \d/.test(line))
      .map((line) =>
        line
          .split("|")
          .map((cell) => cell.trim())
          .slice(1, -1)
          .join(" | "),
      );

  it("the newest stands first, by number, and equal ones in one line", () => {
    const all = [of("0.9.0", first), of("0.9.1", first), of("0.10.0", second), of("0.2.0", first), of("1.0.0", third)];
    expect(linesOf(...all)).toEqual([
      "1.0.0 | `uart` | 2 | 1 to 2 | `uart/timeout` 2 (reads 1 to 2)",
      "0.10.0 | `uart` | 1 | 1 | `uart/timeout` 2 (reads 1 to 2)",
      "0.2.0 to 0.9.1 | `uart` | 1 | 1 | ",
    ]);
  });

  it("two forms of one description stand in two lines, two alike in one", () => {
    expect(linesOf(of("0.1.0", first, second))).toHaveLength(2);
    const wide = vmstate({ name: "uart", version: 1, fields: { lcr: u16 } });
    expect(linesOf(of("0.1.0", first, wide))).toEqual(["0.1.0 | `uart` | 1 | 1 | "]);
  });
});
