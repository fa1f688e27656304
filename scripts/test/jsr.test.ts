// What JSR is told follows from package.json, and what Deno prints is read rightly. The dry run itself is a step of `bun run check`.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { carried, carriedWorkspaces, jsrManifest, jsrRange, jsrText, thirdParties } from "../jsr/manifest.ts";
import { readPublishOutput } from "../jsr/publish-output.ts";
import { readManifest, readWorkspaces, repositoryRoot } from "../workspaces.ts";

describe("jsr.json", () => {
  it("is there for what JSR carries, and for nothing else", () => {
    const having = readWorkspaces().filter(({ folder }) => existsSync(join(repositoryRoot, folder, "jsr.json")));
    expect(having.map(({ manifest }) => manifest.name).sort()).toEqual([...carried].sort());
    expect(carriedWorkspaces().filter(({ manifest }) => manifest.private)).toEqual([]);
  });

  it.each(carriedWorkspaces().map((one) => [one.manifest.name, one] as const))(
    "of %s is that of its package.json: else run `bun scripts/jsr/write.ts`",
    (_, workspace) => {
      const text = readFileSync(join(repositoryRoot, workspace.folder, "jsr.json"), "utf8");
      expect(text).toBe(jsrText(workspace));
      const { version, exports: entries, imports } = JSON.parse(text);
      expect(version).toBe(workspace.manifest.version);
      expect(Object.keys(entries)).toEqual(
        Object.keys(workspace.manifest.exports ?? {}).filter((one) => one !== "./package.json"),
      );
      for (const path of Object.values(entries)) {
        expect(existsSync(join(repositoryRoot, workspace.folder, path as string)), path as string).toBe(true);
      }
      for (const name of Object.keys(workspace.manifest.dependencies ?? {})) expect(imports).toHaveProperty([name]);
    },
  );

  it("names no range that Deno cannot read, and nothing of this repository alone", () => {
    const all = carriedWorkspaces().flatMap((one) => Object.values(jsrManifest(one).imports));
    expect(all.length).toBeGreaterThanOrEqual(8);
    for (const one of all)
      expect(one).toMatch(/^(jsr:@godwit\/[\w-]+@(0|\^[1-9]\d*\.\d+\.\d+)|npm:[@\w/-]+@\^\d+\.\d+\.\d+)$/);
  });

  it("is refused where something of ours is not there", () => {
    const blk = { folder: "plugins/virtio-blk", manifest: readManifest("plugins/virtio-blk") };
    expect(() => jsrManifest(blk)).toThrow(
      "@godwit/virtio-ccw, @godwit/virtio-core, @godwit/virtio-pci, which JSR does not",
    );
  });

  it("has an unresolvable range of a peer as the major that is tested here", () => {
    const manifest = { name: "x", peerDependencies: { vitest: ">=3 <6", eventemitter3: "catalog:" } };
    expect([...thirdParties(manifest)]).toEqual([
      ["vitest", "^4.0.0"],
      ["eventemitter3", "^5.0.4"],
    ]);
    expect(() => thirdParties({ name: "x", peerDependencies: { vitest: ">=7 <9" } })).toThrow("not tested");
  });
});

describe("the range of a peer, in one term", () => {
  it("is the whole major below 1.0, and a caret from there on", () => {
    expect([jsrRange(">=0.1.0 <1"), jsrRange(">=0.7.2 <1"), jsrRange(">=1.2.3 <2")]).toEqual(["0", "0", "^1.2.3"]);
    expect(() => jsrRange("^0.1.0")).toThrow(">=0.1.0 <1");
  });
});

describe("the output of deno publish", () => {
  const folders = ["packages/core", "plugins/virtio-core"];
  const slow = (path: string, kind = "missing-explicit-type") =>
    `error[${kind}]: missing explicit type in the public API\n  --> /tmp/x/${path}:37:14\n   | \n37 | export const a = b({\n\n`;

  it("names what would be published", () => {
    const output =
      "Check packages/core/src/index.ts\nSimulating publish of @godwit/core@0.1.0 with files:\n   file:///tmp/x/a.ts (3B)\nSuccess Dry run complete\n";
    expect(readPublishOutput(output, folders)).toEqual({
      isJudged: true,
      published: ["@godwit/core@0.1.0"],
      slowTypes: new Map([
        ["packages/core", 0],
        ["plugins/virtio-core", 0],
      ]),
    });
  });

  it("counts slow types by package, and agrees with Deno's own count", () => {
    const output = `${slow("packages/core/src/a.ts")}${slow("packages/core/src/b.ts", "missing-explicit-return-type")}${slow("plugins/virtio-core/src/c.ts", "unsupported-ambient-module")}`;
    const found = readPublishOutput(`${output}error: Found 3 problems\n`, folders);
    expect([found.isJudged, [...found.slowTypes.values()]]).toEqual([true, [2, 1]]);
    expect(readPublishOutput(`${output}error: Found 4 problems\n`, folders).isJudged).toBe(false);
    expect(readPublishOutput(`${slow("packages/core/src/a.ts")}error: Found 1 problem\n`, folders).isJudged).toBe(true);
  });

  it("is no judgement where Deno did not come that far", () => {
    for (const output of ["", "error: Type checking failed.\n", 'error: Could not find "vitest"\n']) {
      expect(readPublishOutput(output, folders)).toMatchObject({ isJudged: false, published: [] });
    }
    expect(() => readPublishOutput(slow("elsewhere/src/a.ts"), folders)).toThrow("none of the packages");
  });
});

it("docs/jsr.md has every published package, and the carried ones twice", () => {
  const lines = readFileSync(join(repositoryRoot, "docs", "jsr.md"), "utf8").split("\n");
  const rows = lines
    .filter((line) => line.startsWith("| ") && line.includes("`npm:"))
    .map((line) =>
      line
        .split("|")
        .map((cell) => cell.trim().replaceAll("`", ""))
        .slice(1, 3),
    );
  const published = readWorkspaces().filter(({ manifest }) => !manifest.private);
  const wanted = published.map(({ manifest: { name, version = "" } }) => {
    const major = version.split(".")[0];
    return [carried.includes(name) ? `jsr:${name}@${major}` : "", `npm:${name}@${major}`];
  });
  expect(rows.map(String).sort()).toEqual(wanted.map(String).sort());
});
