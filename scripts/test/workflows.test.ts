// The workflows do what CONTRIBUTING.md says of a release, with actions that nobody can change behind our back.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { withSource } from "../versions/source.ts";
import { repositoryRoot } from "../workspaces.ts";

interface Step {
  readonly run?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly if?: string;
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly steps: readonly Step[];
        readonly permissions?: Readonly<Record<string, string>>;
        readonly needs?: string;
        readonly if?: string;
      }
    >
  >;
}

const folder = join(repositoryRoot, ".github", "workflows");
const files = readdirSync(folder).sort();
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const workflow = (file: string) => parse(read(file)) as Workflow;

/** The shell lines of a job, one command a line. */
function commandsOf(file: string, job: string): string[] {
  const { steps = [] } = workflow(file).jobs[job] ?? {};
  return steps.flatMap(({ run = "" }) => run.split("\n")).filter((line) => line.trim() !== "");
}

it("there are two", () => {
  expect(files).toEqual(["ci.yml", "release.yml"]);
});

describe.each(files)("%s", (file) => {
  const { jobs, permissions } = workflow(file);

  it("pins each action to a commit, and says which version that is", () => {
    const uses = Object.values(jobs).flatMap(({ steps }) => steps.flatMap((step) => step.uses ?? []));
    expect(uses.length).toBeGreaterThanOrEqual(2);
    for (const one of uses) {
      expect(one).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
      expect(read(file)).toMatch(new RegExp(`uses: ${one} # v\\d+\\.\\d+\\.\\d+\\n`));
    }
  });

  it("has no rights beyond what a job asks for", () => {
    expect(["{}", '{"contents":"read"}']).toContain(JSON.stringify(permissions));
  });

  it("never lets changesets publish, and names no registry's host", () => {
    expect(read(file)).not.toMatch(/changeset(s)? publish|bun publish|registry-url|registry\.|npmjs|\/\/jsr/);
    const settings = Object.values(jobs).flatMap(({ steps }) => steps.map((step) => step.with ?? {}));
    for (const one of settings) expect(Object.keys(one)).not.toContain("publish");
  });

  it("runs files that there are", () => {
    const scripts = [...read(file).matchAll(/\bscripts\/[\w/-]+\.ts|\.ci\/run/g)].map(([path]) => path);
    expect(scripts.length).toBeGreaterThan(0);
    for (const path of scripts) expect(existsSync(join(repositoryRoot, path)), path).toBe(true);
    const { scripts: known } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8"));
    const called = [...read(file).matchAll(/(?:npm|bun) run ([\w:-]+)/g)].map(([, name = ""]) => name);
    expect(called.filter((name) => known[name] === undefined)).toEqual([]);
  });
});

describe("ci.yml", () => {
  it("runs .ci/run on each push and pull request, with the streams", () => {
    expect(Object.keys(workflow("ci.yml").on)).toEqual(["push", "pull_request"]);
    const steps = workflow("ci.yml").jobs["ci"]?.steps ?? [];
    const runs = steps.flatMap(({ run }) => run ?? []);
    expect(runs.at(-1)).toBe('GODWIT_STREAMS="$GITHUB_WORKSPACE/streams" .ci/run');
    // Without it, the checkout of large files ends at once.
    expect(steps.some((step) => step.with?.["lfs"] === true)).toBe(true);
    expect(runs[0]).toMatch(/ git-lfs /);
  });

  it("runs on the lowest Node that packages promise", () => {
    const { engines } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8"));
    const node = workflow("ci.yml").jobs["ci"]?.steps.find(({ uses }) => uses?.startsWith("actions/setup-node@"));
    expect(`>=${node?.with?.["node-version"]}`).toBe(engines.node);
  });
});

describe("release.yml", () => {
  const { publish, version } = workflow("release.yml").jobs;

  it("makes the pull request of versions by version-packages", () => {
    const action = version?.steps.find(({ uses }) => uses?.startsWith("changesets/action@"));
    expect(action?.with?.["version"]).toBe("npx bun run version-packages");
    expect(version?.permissions).toEqual({ contents: "write", "pull-requests": "write" });
  });

  it("publishes only when no changeset is pending, with provenance, and tags afterwards", () => {
    expect([publish?.needs, publish?.if]).toEqual(["version", "needs.version.outputs.pending == 'false'"]);
    expect(publish?.permissions).toEqual({ contents: "write", "id-token": "write" });
    const commands = commandsOf("release.yml", "publish");
    const order = [
      "npx bun run build",
      "npx bun scripts/versions/source-of-packages.ts",
      "npx bun scripts/registry/publish.ts --provenance",
      "npx bun --bun node_modules/.bin/changeset git-tag",
      "git push --tags",
      "npx bun scripts/jsr/publish.ts",
    ].map((command) => commands.indexOf(command));
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it("takes a token only where there is one, and keeps it out of every other step", () => {
    const withToken = publish?.steps.filter((step) => JSON.stringify(step).includes("NPM_TOKEN")) ?? [];
    expect(withToken).toHaveLength(1);
    expect(withToken[0]?.run?.split("\n")[0]).toBe('if [ -n "$NODE_AUTH_TOKEN" ]; then');
  });
});

describe("where a package's source is", () => {
  const url = "git+https://example.org/godwit/godwit.git";

  it("is added to a manifest, and nothing else is changed", () => {
    const text = '{\n  "name": "a",\n  "version": "1.0.0"\n}\n';
    const made = JSON.parse(withSource(text, url, "packages/a"));
    expect(made).toEqual({ name: "a", version: "1.0.0", repository: { type: "git", url, directory: "packages/a" } });
  });

  it("stays where a manifest says it", () => {
    const text = '{ "name": "a", "repository": "elsewhere" }';
    expect(withSource(text, url, "packages/a")).toBe(text);
  });
});
