// What a generated project holds.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { contract } from "@godwit/core";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { ranges } from "../src/ranges.ts";
import { rangesFromManifests, rangesText } from "./ranges/ranges.ts";
import { project } from "./support/project.ts";

const made = project({ name: "@acme/godwit-wall-clock" });
afterAll(() => made.remove());
const read = (path: string) => readFileSync(join(made.folder, path), "utf8");
const manifest = JSON.parse(read("package.json"));

describe("a generated project", () => {
  it("has these files", () => {
    const found = readdirSync(made.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`.slice(made.folder.length + 1).replaceAll("\\", "/"));
    expect(found.sort()).toEqual([...made.files].sort());
    expect(found.sort()).toEqual([
      ".changeset/README.md",
      ".changeset/config.json",
      ".github/workflows/ci.yml",
      ".github/workflows/release.yml",
      ".gitignore",
      "README.md",
      "UPGRADING.md",
      "examples/machine.ts",
      "examples/main.ts",
      "examples/migrate.ts",
      "goldens/0.1.0.json",
      "package.json",
      "scripts/clean.js",
      "scripts/goldens.js",
      "scripts/version.js",
      "src/check.ts",
      "src/description.ts",
      "src/device.ts",
      "src/index.ts",
      "src/options.ts",
      "src/plugin.ts",
      "src/registers.ts",
      "src/time.ts",
      "src/version.ts",
      "test/conformance.test.ts",
      "test/device.test.ts",
      "test/example.test.ts",
      "test/version.test.ts",
      "tsconfig.build.json",
      "tsconfig.json",
    ]);
  });

  it("has no placeholder left, in no text and no name", () => {
    for (const path of made.files) {
      expect(path).not.toMatch(/__|^_/);
      expect(read(path), path).not.toMatch(/__/);
    }
  });

  it("has its own names on the wire and in the code", () => {
    expect(manifest.name).toBe("@acme/godwit-wall-clock");
    expect(read("src/plugin.ts")).toContain('name: "@acme/godwit-wall-clock"');
    expect(read("src/description.ts")).toContain('name: "wall-clock"');
    expect(read("src/description.ts")).toContain('name: "wall-clock/held"');
    expect(read("src/index.ts")).toContain("export { wallClockPlugin }");
    expect(read("src/device.ts")).toContain("export class WallClockDevice");
  });

  it("is for the contract of this core, by a peer range that all of 0.x is in", () => {
    expect(read("src/plugin.ts")).toContain(`contract: ${contract},`);
    const { "@godwit/core": range, ...others } = manifest.peerDependencies;
    expect([range, others]).toEqual([">=0.1.0 <1", {}]);
  });

  it("tags its release as somebody: without a name git makes no tag", () => {
    const { jobs } = parse(read(".github/workflows/release.yml"));
    const commands: string[] = jobs.publish.steps.flatMap(({ run = "" }) => run.split("\n"));
    const at = (start: string) => commands.findIndex((command) => command.startsWith(start));
    const order = ["git config user.name ", "git config user.email ", "npm run release", "git push --tags"].map(at);
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it("asks for what this repository has", () => {
    expect(ranges).toEqual(rangesFromManifests());
    expect(manifest.devDependencies).toEqual(rangesFromManifests());
    for (const range of Object.values(ranges)) expect(range).toMatch(/^\^\d+(\.\d+\.\d+)?$/);
    expect(readFileSync(new URL("../src/ranges.ts", import.meta.url), "utf8")).toBe(rangesText());
  });

  it("says in one place which version it is", () => {
    expect(manifest.version).toBe("0.1.0");
    expect(read("src/version.ts")).toContain(`version = "${manifest.version}"`);
    expect(manifest.exports["."]).toEqual({ types: "./dist/index.d.ts", default: "./dist/index.js" });
    expect([manifest.type, manifest.sideEffects]).toEqual(["module", false]);
  });
});
