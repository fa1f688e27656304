// What is published, in which order, and what keeps a package from it.
import { describe, expect, it } from "vitest";
import { inOrder } from "../registry/order.ts";
import { manifestFindings, rangeFindings } from "../registry/packed.ts";
import { type Manifest, readWorkspaces, type Workspace } from "../workspaces.ts";

const workspace = (name: string, needs: Partial<Manifest> = {}): Workspace => ({
  folder: `packages/${name}`,
  manifest: { name, version: "1.0.0", ...needs },
});
const names = (workspaces: readonly Workspace[]) => workspaces.map(({ manifest }) => manifest.name);

describe("the order", () => {
  it("puts dependencies and peers first", () => {
    const all = [
      workspace("app", { dependencies: { plugin: "workspace:^", other: "^1" } }),
      workspace("plugin", { peerDependencies: { virtio: ">=1 <2", core: ">=1 <2" } }),
      workspace("virtio", { peerDependencies: { core: ">=1 <2" } }),
      workspace("core"),
      workspace("alone"),
    ];
    expect(names(inOrder(all))).toEqual(["alone", "core", "virtio", "plugin", "app"]);
    expect(names(inOrder(all.toReversed()))).toEqual(names(inOrder(all)));
  });

  it("leaves development out: it may go round", () => {
    const all = [workspace("a", { devDependencies: { b: "1" } }), workspace("b", { dependencies: { a: "1" } })];
    expect(names(inOrder(all))).toEqual(["a", "b"]);
  });

  it("names packages that need one another", () => {
    const all = [workspace("a", { dependencies: { b: "1" } }), workspace("b", { peerDependencies: { a: "1" } })];
    expect(() => inOrder(all)).toThrow("a -> b -> a");
  });

  it("of this repository begins with core, and each package finds what it needs before it", () => {
    const all = inOrder(readWorkspaces().filter(({ manifest }) => !manifest.private));
    const before = new Set<string>();
    for (const { manifest } of all.filter(({ manifest }) => manifest.name.startsWith("@godwit/"))) {
      if (before.size === 0) expect(manifest.name).toBe("@godwit/core");
      for (const needed of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
        if (needed.startsWith("@godwit/")) expect(before).toContain(needed);
      }
      before.add(manifest.name);
    }
    expect(before.size).toBeGreaterThan(15);
  });
});

describe("a packed manifest", () => {
  const good = {
    name: "@godwit/virtio-net",
    version: "1.0.0",
    exports: {
      ".": { "godwit:source": "./src/index.ts", types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./package.json": "./package.json",
    },
    bin: { net: "dist/main.js" },
    dependencies: { eventemitter3: "^5.0.4" },
    peerDependencies: { "@godwit/core": ">=0.1.0 <1" },
  };
  const files = ["./package.json", "./dist/index.js", "./dist/index.d.ts", "./dist/main.js"];

  it("is good, with a condition of ours that leads nowhere", () => {
    expect(manifestFindings(good, files)).toEqual([]);
  });

  it.each([
    ["dependencies", "workspace:^"],
    ["dependencies", "catalog:"],
    ["peerDependencies", "workspace:*"],
    ["optionalDependencies", "link:../core"],
    ["devDependencies", "catalog:tests"],
    ["peerDependencies", "file:../core"],
  ])("is refused with %s of %s", (kind, range) => {
    expect(rangeFindings({ ...good, [kind]: { "@godwit/core": range } })).toEqual([
      `${kind}: @godwit/core is "${range}", which nobody else can resolve`,
    ]);
  });

  it.each(["./dist/index.js", "./dist/index.d.ts", "./dist/main.js", "./package.json"])(
    "is refused where %s is not packed",
    (missing) => {
      const packed = files.filter((file) => file !== missing);
      expect(manifestFindings(good, packed)).toEqual([`${missing} is named, and not packed`]);
    },
  );
});
