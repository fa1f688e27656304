// The table of sizes goes through text and back, and what is off or beyond a limit is told.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { excesses, findings, partsOf, readSizes, type Size, sizesText, tableText } from "../size-table.ts";
import { repositoryRoot } from "../workspaces.ts";

const a: Size = { entry: "@x/a", minifiedBytes: 10_000, gzippedBytes: 3000, limitBytes: 4000, ceilingBytes: 3090 };
const b: Size = { entry: "what a user pays", minifiedBytes: 50, gzippedBytes: 40, goalBytes: 30 };

describe("the table of sizes", () => {
  it("reads back what it writes", () => {
    const parts = [{ name: "the codec", minifiedBytes: 12_345, gzippedShareBytes: 4321 }];
    expect(readSizes(sizesText([a, b], parts, "Bun 1"))).toEqual([a, b]);
    expect(readSizes(tableText([a, b]))).toEqual([a, b]);
  });

  it("is as it should be up to 2%", () => {
    const grown = { ...a, gzippedBytes: 3060 };
    expect(findings([a, b], [grown, b])).toEqual([]);
    expect(findings([a, b], [{ ...a, gzippedBytes: 3061 }, b])).toEqual([
      "@x/a: the table says 10000 and 3000, it is 10000 and 3061",
    ]);
    expect(findings([a, b], [{ ...a, minifiedBytes: 9799 }, b])).toHaveLength(1);
  });

  it("says by how much a goal is missed, what the bytes are spent on, and who compressed", () => {
    const parts = [{ name: "the codec", minifiedBytes: 12_345, gzippedShareBytes: 4321 }];
    const text = sizesText([a, { ...b, gzippedBytes: 28_068, goalBytes: 12_000 }], parts, "Bun 9.8.7");
    expect(text).toContain("`what a user pays`, 12,000, is missed by 16,068: it is 2.3 times as large.");
    expect(text).toContain("- the codec: 12,345 minified, about 4,300 gzipped");
    expect(text).toContain("Bun 9.8.7");
    expect(sizesText([{ ...b, gzippedBytes: 30 }], [], "x")).toContain("30, is reached.");
  });

  it("tells what is beyond its limit or its ceiling, whatever the table says; a goal is none", () => {
    for (const [limit, name] of [
      [{ limitBytes: 2999 }, "limit"],
      [{ ceilingBytes: 2999 }, "ceiling"],
    ] as const) {
      const own = { ...a, ...limit };
      const told = [`@x/a: 3000 bytes gzipped, the ${name} is 2999`];
      expect(excesses([own, b])).toEqual(told);
      expect(findings([own], [own])).toEqual(told);
    }
    expect(excesses([{ ...a, limitBytes: 3000, ceilingBytes: 3000 }, b])).toEqual([]);
  });

  it("tells a ceiling that is far away, and one that the table does not have", () => {
    const far = { ...a, ceilingBytes: 3181 };
    expect(findings([far], [far])).toEqual(["@x/a: 3000 bytes gzipped, lower its ceiling of 3181 to 3% above"]);
    expect(findings([{ ...a, ceilingBytes: undefined }], [a])).toEqual([
      "@x/a: the table's ceiling is undefined, not 3090",
    ]);
    expect(findings([a], [{ ...a, limitBytes: 3500 }])).toEqual(["@x/a: the table's limit is 4000, not 3500"]);
  });

  it("tells what is new, or gone", () => {
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
    expect(excesses(committed)).toEqual([]);
  });
});

it("a bundle's bytes are shared out by the concerns of its modules", () => {
  const inputs = {
    "packages/core/src/vmstate/codec.ts": { bytesInOutput: 500 },
    "packages/core/src/writer.ts": { bytesInOutput: 100 },
    "packages/core/src/kernel/kernel.ts": { bytesInOutput: 200 },
    "packages/core/src/kernel/kinds.ts": { bytesInOutput: 150 },
    "packages/core/src/errors.ts": { bytesInOutput: 50 },
  };
  expect(partsOf({ outputs: { "./bundle.js": { inputs } } }, 400)).toEqual([
    { name: "the codec", minifiedBytes: 600, gzippedShareBytes: 240 },
    { name: "the kernel: attempts, takeover, the way back", minifiedBytes: 200, gzippedShareBytes: 80 },
    { name: "releases, kinds and the manifest", minifiedBytes: 150, gzippedShareBytes: 60 },
    { name: "errors and the bundle's own", minifiedBytes: 50, gzippedShareBytes: 20 },
  ]);
});
