// Every published package ships an UPGRADING.md that knows its minors, and says nothing that the tree contradicts.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { oldestContract, contract as ownContract } from "../../packages/core/src/contract.ts";
import { protocolVersion } from "../../packages/migration/src/godwit/magic.ts";
import { minorOf } from "../changes/bump.ts";
import { publishedDumps, readPackages } from "../changes/repository.ts";
import { missingHeadings } from "../changes/upgrading.ts";
import { readManifest, repositoryRoot } from "../workspaces.ts";

const packages = readPackages().filter((one) => !one.private);

it("published packages are all looked at", () => {
  expect(packages.length).toBeGreaterThanOrEqual(20);
});

describe.each(packages.map((one) => [one.name, one] as const))(
  "%s",
  (name, { folder, upgrading, changelog, version }) => {
    it("has a heading for each minor", () => {
      expect(upgrading.startsWith(`# Upgrading ${name}\n`)).toBe(true);
      expect(missingHeadings(upgrading, changelog, [version])).toEqual([]);
    });

    it("ships it", () => {
      expect((readManifest(folder) as { files?: readonly string[] }).files).toContain("UPGRADING.md");
    });

    it("says something of its own", () => {
      const others = new Set(packages.filter((one) => one.name !== name).flatMap((one) => sentencesOf(one.upgrading)));
      expect(sentencesOf(upgrading).filter((one) => !others.has(one)).length).toBeGreaterThanOrEqual(4);
    });

    it("links to nothing that is not in the package", () => {
      expect([...upgrading.matchAll(/\]\(([^)]*)\)/g)].map(([, target]) => target)).toEqual([]);
    });

    it("names error codes that there are", () => {
      const sources = sourcesOf(folder);
      const codes = [...upgrading.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code = ""]) => code);
      expect(codes.filter((code) => !sources.includes(code) && !everything().includes(code))).toEqual([]);
    });
  },
);

/** Paragraphs would hide a copied sentence behind another one. */
function sentencesOf(text: string): string[] {
  return text
    .replaceAll(/\s+/g, " ")
    .split(/[.:|] /)
    .filter((one) => one.length > 40);
}

function sourcesOf(folder: string): string {
  const src = join(repositoryRoot, folder, "src");
  if (!existsSync(src)) return "";
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(join(src, path), "utf8"))
    .join("\n");
}

let all: string | undefined;
/** What another package throws is named too. */
function everything(): string {
  all ??= packages.map(({ folder }) => sourcesOf(folder)).join("\n");
  return all;
}

describe("what they say of numbers", () => {
  const textOf = (name: string) => packages.find((one) => one.name === name)?.upgrading ?? "";
  const rowOf = (text: string, first: string) =>
    text
      .split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()))
      .find(([, cell]) => cell === first);

  it("core: the contracts that its newest minor takes", () => {
    const { version } = packages.find((one) => one.name === "@godwit/core") ?? { version: "0.0.0" };
    expect(rowOf(textOf("@godwit/core"), minorOf(version))?.[2]).toBe(`${oldestContract} to ${ownContract}`);
  });

  it("migration: the protocol of its newest minor", () => {
    const { version } = packages.find((one) => one.name === "@godwit/migration") ?? { version: "0.0.0" };
    expect(rowOf(textOf("@godwit/migration"), minorOf(version))?.[2]).toBe(String(protocolVersion));
  });

  it("plugins: the versions that their newest dump writes and reads", () => {
    const newest = new Map(publishedDumps().map((one) => [one.plugin, one.dump]));
    const told = [...newest].flatMap(([plugin, dump]) =>
      Object.entries(dump).flatMap(([key, section]) => {
        if (!("version_id" in section)) return [];
        const row = rowOf(textOf(`@godwit/${plugin}`), `\`${key}\``);
        if (row === undefined) return [];
        const { version_id: to, minimum_version_id: from } = section;
        const range = from === to ? String(to) : from === to - 1 ? `${from} and ${to}` : `${from} to ${to}`;
        return [[key, row.slice(2, 4), [String(to), range]] as const];
      }),
    );
    expect(told.length).toBeGreaterThanOrEqual(9);
    for (const [key, row, real] of told) expect(row, key).toEqual(real);
  });
});
