// A release, tried on a copy of what it changes: changesets become versions, changelogs and manifests, and nothing else moves.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { u8, vmstate } from "@godwit/core";
import { dumpOf } from "@godwit/core/tools";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { raised as raisedBy } from "../changes/bump.ts";
import { readRepository } from "../changes/repository.ts";
import { checkChanges } from "../changes/rule.ts";
import { Refused, raiseVersions } from "../versions/raise.ts";
import { writeVersionsPage } from "../versions/write.ts";
import { readManifest, readWorkspaces, repositoryRoot } from "../workspaces.ts";

let root = "";
const git = (...args: string[]) =>
  execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@example.org", ...args], { cwd: root });
const textOf = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = (folder: string) => readManifest(folder, root);

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "godwit-versions-")));
  const parts = ["package.json", "CHANGELOG.md", "UPGRADING.md", "jsr.json", "src/version.ts"];
  const folders = readWorkspaces().map(({ folder }) => folder);
  const paths = [
    ...["package.json", "bun.lock", "deno.json", ".changeset/config.json", "docs/dumps"],
    ...folders.flatMap((folder) => parts.map((part) => `${folder}/${part}`)),
  ];
  for (const path of paths) {
    if (existsSync(join(repositoryRoot, path)))
      cpSync(join(repositoryRoot, path), join(root, path), { recursive: true });
  }
  writeFileSync(join(root, ".gitignore"), "node_modules\n");
  symlinkSync(join(repositoryRoot, "node_modules"), join(root, "node_modules"), "dir");
  git("init", "--quiet");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function commit(changesets: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(changesets)) writeFileSync(join(root, ".changeset", file), text);
  git("add", "--all");
  git("commit", "--quiet", "--message", "All of it");
}

const minorOfRng = '---\n"@godwit/virtio-rng": minor\n---\n\nWhat is left of a period travels.\n';
const patchOfCore = '---\n"@godwit/core": patch\n---\n\nA message says more.\n';
const written = (path: string, heading: string) =>
  textOf(path).replace(/^## /m, `## ${heading}\n\nWhat is left of a period is a subsection.\n\n## `);

/** Version of a workspace in this repository, raised. */
const next = (folder: string, bump: "minor" | "patch") => raisedBy(readManifest(folder).version ?? "", bump);

describe("a plugin's minor and core's patch", () => {
  const rng = "plugins/virtio-rng";
  const upgrading = `${rng}/UPGRADING.md`;

  it("is refused, and nothing is changed, while UPGRADING.md does not know the minor", async () => {
    commit({ "a.md": minorOfRng, "b.md": patchOfCore });
    const refused = await raiseVersions(root).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Refused);
    expect((refused as Refused).findings.map(({ code, about }) => `${code} ${about}`)).toEqual([
      "UPGRADING_MISSING @godwit/virtio-rng",
    ]);
    expect(git("status", "--porcelain").toString()).toBe("");
  });

  it("raises them and what holds them, and no peer range", async () => {
    writeFileSync(join(root, upgrading), written(upgrading, next(rng, "minor").replace(/\.0$/, "")));
    commit({ "a.md": minorOfRng, "b.md": patchOfCore });
    const peers = new Map(readWorkspaces().map((one) => [one.folder, one.manifest.peerDependencies]));
    const versions = new Map(readWorkspaces().map((one) => [one.folder, one.manifest.version]));

    const raised = await raiseVersions(root);
    const [core, cli] = ["packages/core", "apps/cli"];
    expect(raised.filter(({ name }) => !manifest(folderOf(name)).private)).toEqual([
      { name: "godwit", folder: cli, from: versions.get(cli), to: next(cli, "patch") },
      { name: "@godwit/core", folder: core, from: versions.get(core), to: next(core, "patch") },
      { name: "@godwit/virtio-rng", folder: rng, from: versions.get(rng), to: next(rng, "minor") },
    ]);
    for (const { folder } of readWorkspaces(root)) {
      expect(manifest(folder).peerDependencies, folder).toEqual(peers.get(folder));
    }
    expect(textOf(`${rng}/src/version.ts`)).toContain(`version = "${next(rng, "minor")}"`);
    expect(JSON.parse(textOf(`${core}/jsr.json`)).version).toBe(next(core, "patch"));
    expect(textOf(`${rng}/CHANGELOG.md`)).toMatch(
      new RegExp(
        `## ${next(rng, "minor")}\\n\\n### Minor Changes\\n\\n- [0-9a-f]{7,}: What is left of a period travels.\\n`,
      ),
    );
    expect(textOf(`${core}/CHANGELOG.md`)).toContain("A message says more.");
    // What is out stays as it was written.
    for (const folder of [rng, cli, core]) {
      const told = readFileSync(join(repositoryRoot, folder, "CHANGELOG.md"), "utf8");
      expect(textOf(`${folder}/CHANGELOG.md`)).toContain(told.slice(told.indexOf("## ")));
    }
    expect(existsSync(join(root, ".changeset/a.md"))).toBe(false);
    const changed = git("status", "--porcelain")
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => line.slice(3));
    const known =
      /^(\.changeset\/[ab]\.md|(packages|plugins|apps)\/[\w-]+\/(package\.json|CHANGELOG\.md|jsr\.json|src\/version\.ts))$/;
    expect(changed.filter((path) => !known.test(path))).toEqual([]);
  });

  it("then wants the dump, writes it into the table, and keeps the rule", async () => {
    writeFileSync(join(root, upgrading), written(upgrading, next(rng, "minor").replace(/\.0$/, "")));
    commit({ "a.md": minorOfRng });
    await raiseVersions(root);
    const dump = dumpOf([vmstate({ name: "virtio-rng", version: 1, fields: {} }), left], "virtio-rng");
    const present = new Map([["virtio-rng", dump]]);
    const codes = () => checkChanges({ ...readRepository(root), present }).map(({ code }) => code);
    expect(codes()).toContain("DUMP_MISSING");
    writeFileSync(join(root, `docs/dumps/virtio-rng-${next(rng, "minor")}.json`), JSON.stringify(dump));
    expect(codes()).toEqual([]);
    writeVersionsPage(root);
    const cells = textOf("docs/versions.md")
      .split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()));
    const wanted = [next(rng, "minor"), "`virtio-rng-left`", "3", "3", ""];
    expect(cells.some((line) => JSON.stringify(line.slice(1, -1)) === JSON.stringify(wanted))).toBe(true);
  });
});

const left = vmstate({ name: "virtio-rng-left", version: 3, fields: { left: u8 } });

const folderOf = (name: string) => readWorkspaces(root).find((one) => one.manifest.name === name)?.folder ?? "";

describe("without a changeset", () => {
  it("nothing is raised", async () => {
    commit({});
    expect(await raiseVersions(root).catch(String)).toEqual([]);
    expect(git("status", "--porcelain").toString()).toBe("");
  });

  it("in the mode for pre-releases nothing is raised, and nothing changed", async () => {
    commit({
      "a.md": patchOfCore,
      "pre.json": '{ "mode": "pre", "tag": "beta", "initialVersions": {}, "changesets": [] }',
    });
    await expect(raiseVersions(root)).rejects.toThrow("PRERELEASE");
    expect(git("status", "--porcelain").toString()).toBe("");
  });

  it("and with one that is none, nothing either", async () => {
    commit({ "a.md": '---\n"@godwit/nothing": minor\n---\n\nText.\n' });
    await expect(raiseVersions(root)).rejects.toThrow("CHANGESET_PACKAGE");
  });
});
