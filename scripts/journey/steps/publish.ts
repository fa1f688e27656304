// Everything is built, packed and published as the release workflow does it, and read back from the registry.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { rangeFindings } from "../../registry/packed.ts";
import { configuredRegistry, publishAll } from "../../registry/publish.ts";
import { run } from "../../run.ts";
import { readWorkspaces } from "../../workspaces.ts";
import { expect, expectSame, type Step } from "../journey.ts";

const publishable = () => readWorkspaces().filter(({ manifest }) => !manifest.private);

export const online: Step = {
  name: "ask the registry that npm is configured with for a package of somebody else",
  first: true,
  async run() {
    const upstream = await configuredRegistry();
    const answer = await fetch(`${upstream}eventemitter3`).then(
      (response) => `it answers ${response.status}`,
      (error: unknown) => String(error),
    );
    expect(
      answer === "it answers 200",
      `other people's packages come from ${upstream}, which cannot be used now (${answer}): the journey needs a network`,
    );
    return undefined;
  },
};

export const build: Step = {
  name: "build",
  first: true,
  async run() {
    const { exitCode, output } = await run("turbo", [
      "run",
      "build",
      "--output-logs=errors-only",
      "--no-update-notifier",
    ]);
    expect(exitCode === 0, output);
    return undefined;
  },
};

export const publish: Step = {
  name: "pack and publish every package, what others need first",
  first: true,
  async run({ registry, shell }) {
    const all = await publishAll({ registryUrl: registry.url, npm: (args, cwd) => shell.run("npm", args, cwd) });
    const wanted = publishable().map(({ manifest }) => `${manifest.name}@${manifest.version}`);
    expectSame(
      all
        .filter(({ done }) => done === "published")
        .map(({ name, version }) => `${name}@${version}`)
        .sort(),
      wanted.sort(),
      "what was published",
    );
    expect(all[0]?.name === "@godwit/core", `${all[0]?.name} was published before core`);
    return `${all.length} packages`;
  },
};

export const readBack: Step = {
  name: "the registry's manifests name no workspace, and have the versions that they should",
  async run({ registry }) {
    for (const { manifest } of publishable()) {
      const response = await fetch(registry.url + manifest.name.replace("/", "%2f"));
      const { versions, "dist-tags": tags } = (await response.json()) as {
        versions: Record<string, Parameters<typeof rangeFindings>[0]>;
        "dist-tags": Record<string, string>;
      };
      expectSame(Object.keys(versions), [manifest.version], `${manifest.name}'s versions`);
      expectSame(tags, { latest: manifest.version }, `${manifest.name}'s tags`);
      const [published] = Object.values(versions);
      expect(published !== undefined, "");
      expectSame(rangeFindings(published), [], manifest.name);
      for (const [name, range] of Object.entries({ ...published.dependencies, ...published.peerDependencies })) {
        const own = publishable().find((other) => other.manifest.name === name);
        const source = manifest.dependencies?.[name] ?? manifest.peerDependencies?.[name];
        const wanted = source === "workspace:^" ? `^${own?.manifest.version}` : source;
        if (own !== undefined) expectSame(range, wanted, `${manifest.name}'s range of ${name}`);
      }
    }
    return undefined;
  },
};

export const again: Step = {
  name: "a second run publishes nothing, and the registry takes no version twice",
  async run({ registry, shell, user }) {
    const npm = () => Promise.reject(new Error("npm was asked to publish again"));
    const all = await publishAll({ registryUrl: registry.url, npm });
    expect(
      all.every(({ done }) => done === "known"),
      "a package was not known",
    );
    const folder = user("again");
    const tarball = join(folder, "core.tgz");
    const [core] = Object.values(registry.published().get("@godwit/core")?.versions ?? {});
    const packed = await fetch(core?.dist.tarball ?? "");
    writeFileSync(tarball, Buffer.from(await packed.arrayBuffer()));
    const { exitCode, output } = await shell.run("npm", ["publish", tarball], folder);
    expect(
      exitCode !== 0 && output.includes("cannot publish over"),
      `the same version again: exit ${exitCode}\n${output}`,
    );
    return undefined;
  },
};
