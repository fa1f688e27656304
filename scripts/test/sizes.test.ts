// The table of sizes goes through text and back, and what is off or beyond a limit is told.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findings, readSizes, type Size, sizesText } from "../size-table.ts";
import { repositoryRoot } from "../workspaces.ts";

const a: Size = { entry: "@x/a", minifiedBytes: 10_000, gzippedBytes: 3000, limitBytes: 4000 };
const b: Size = { entry: "what a user pays", minifiedBytes: 50, gzippedBytes: 40, goalBytes: 30 };
const without = ({ entry, minifiedBytes, gzippedBytes }: Size): Size => ({ entry, minifiedBytes, gzippedBytes });

describe("the table of sizes", () => {
  it("reads back what it writes", () => {
    expect(readSizes(sizesText([a, b]))).toEqual([a, b].map(without));
  });

  it("is as it should be up to 2%", () => {
    const grown = { ...a, gzippedBytes: 3060 };
    expect(findings([a, b], [grown, b])).toEqual([]);
    expect(findings([a, b], [{ ...a, gzippedBytes: 3061 }, b])).toEqual([
      "@x/a: the table says 10000 and 3000, it is 10000 and 3061",
    ]);
    expect(findings([a, b], [{ ...a, minifiedBytes: 9799 }, b])).toHaveLength(1);
  });

  it("tells what is beyond its limit, new, or gone; a goal is none", () => {
    expect(findings([without(a)], [{ ...a, limitBytes: 2999 }])).toEqual([
      "@x/a: 3000 bytes gzipped, the limit is 2999",
    ]);
    expect(findings([a], [a, b])).toEqual(["what a user pays: not in the table"]);
    expect(findings([a, b], [a])).toEqual(["what a user pays: in the table, and no longer built"]);
  });

  it("is committed, with every entry of core", () => {
    const committed = readSizes(readFileSync(join(repositoryRoot, "packages/core/SIZES.md"), "utf8"));
    const manifest = JSON.parse(readFileSync(join(repositoryRoot, "packages/core/package.json"), "utf8")) as {
      exports: Record<string, unknown>;
    };
    const entries = Object.keys(manifest.exports).filter((key) => key !== "./package.json");
    const names = committed.map(({ entry }) => entry);
    for (const entry of entries) expect(names).toContain(`@godwit/core${entry.slice(1)}`);
    const vmstate = committed.find(({ entry }) => entry === "@godwit/core/vmstate");
    expect(vmstate?.gzippedBytes).toBeLessThanOrEqual(5000);
  });
});
