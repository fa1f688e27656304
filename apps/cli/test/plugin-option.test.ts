// `--plugin` and the configuration file: a third party's own device is told, compared and verified; what is not named is not
// imported.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { changed, Folder, smallStream } from "./bad-input-support.ts";
import { gadget } from "./plugin-gadget.ts";
import { runCli } from "./run-cli.ts";

const module = fileURLToPath(new URL("plugin-gadget.ts", import.meta.url));

/** A package in the folder's node_modules, in JavaScript: not every runtime reads anything else there. */
function installed(folder: Folder, name: string, manifest: object, file = "devices.js"): void {
  const place = join(folder.path, "node_modules", name);
  const path = join(place, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(join(place, "package.json"), JSON.stringify({ name, type: "module", ...manifest }));
  writeFileSync(path, `export const gadget = ${JSON.stringify(gadget)};\n`);
}

// The section tells its fields by the description alone: the stream has no vmdesc.
const { bytes, at } = smallStream(false);

describe("a module that brings descriptions", () => {
  it("has inspect, verify and diff know a device that nothing else describes", async () => {
    using folder = new Folder();
    const path = folder.file("a.stream", bytes);
    expect((await runCli(["inspect", path, "--section", "gadget"])).code).toBe(1);
    const shown = await runCli(["inspect", path, "--section", "gadget", "--plugin", module]);
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringMatching(/^ {2}level +1\n {2}limit +2$/m)]);
    const verified = await runCli(["verify", path, "--plugin", module, "--json"]);
    expect(verified.code).toBe(0);
    expect(JSON.parse(verified.stdout)).toMatchObject({ notComparedBytes: 0 });
    // Behind the head: type, id, idstr with its length, instance, version.
    const body = (at["listed"] as number) + 1 + 4 + 1 + "gadget".length + 8;
    const other = folder.file("b.stream", changed(bytes, body + 3, 7));
    const compared = await runCli(["diff", path, other, "--plugin", module]);
    expect([compared.code, compared.stdout]).toEqual([1, expect.stringContaining("gadget/7\n  level  1 -> 7\n")]);
  });

  it.each<readonly [string, string, object]>([
    ["is for import alone", "@acme/devices", { exports: { ".": { import: "./devices.js" } } }],
    ["is for import alone, without subpaths", "acme", { exports: { import: "./devices.js" } }],
    [
      "has nested conditions",
      "@acme/devices",
      { exports: { ".": [{ types: "./x.d.ts", node: { import: "./devices.js" } }] } },
    ],
    ["has a subpath", "@acme/devices/nic", { exports: { ".": "./none.js", "./nic": { default: "./devices.js" } } }],
    ["has no exports", "acme", { main: "./devices.js" }],
  ])("is found by its package's name, which %s", async (_, name, manifest) => {
    using folder = new Folder();
    const path = folder.file("a.stream", bytes);
    installed(folder, name.replace("/nic", ""), manifest);
    const { code, stderr } = await runCli(["verify", path, "--plugin", name], { folder: folder.path });
    expect([code, stderr]).toEqual([0, ""]);
  });

  it("is named by a configuration file, or is not imported", async () => {
    using folder = new Folder();
    const path = folder.file("a.stream", bytes);
    installed(folder, "acme", { main: "./devices.js" });
    const config = folder.file("godwit.json", '{"plugins": ["acme"]}');
    const run = (...more: string[]) => runCli(["verify", path, ...more], { folder: folder.path });
    expect((await run()).code).toBe(1);
    expect((await run("--config", config)).code).toBe(0);
    const environment = { GODWIT_CONFIG: config };
    expect((await runCli(["verify", path], { folder: folder.path, environment })).code).toBe(0);
    // An empty variable names nothing.
    const unset = await runCli(["verify", path, "--plugin", "acme"], {
      folder: folder.path,
      environment: { GODWIT_CONFIG: "" },
    });
    expect(unset.code).toBe(0);
  });

  it.each(["infers", "decodes"])("is at fault, and not godwit, where it throws while it %s", async (when) => {
    using folder = new Folder();
    const path = folder.file("a.stream", smallStream().bytes);
    const plugin = folder.file(
      "throws.mjs",
      `const description = ${JSON.stringify(gadget)};
       const broken = { ...description, get fields() { throw new TypeError("boom"); } };
       export const families = [{ format: 1, name: "gadget",
         infer() { ${when === "infers" ? 'throw new TypeError("boom")' : ""} },
         build: () => broken }];`,
    );
    const verified = await runCli(["verify", path, "--plugin", plugin, "--json"]);
    expect(verified.code).toBe(1);
    expect(JSON.parse(verified.stdout)).toMatchObject({
      findings: [{ code: "DEVICE_FAILED", section: "gadget/7", message: expect.stringContaining("boom") }],
    });
    // The stream is fine, and its vmdesc lists the section.
    const shown = await runCli(["inspect", path, "--section", "gadget", "--plugin", plugin]);
    expect([shown.code, shown.stderr]).toEqual([0, expect.stringMatching(/boom \(DEVICE_FAILED\)$/m)]);
    expect(shown.stdout).toMatch(/^ {2}a +1$/m);
  });

  it("that is not there is a wrong use, in one sentence", async () => {
    using folder = new Folder();
    const { code, stderr } = await runCli(["verify", "x", "--plugin", "no-such-package"], { folder: folder.path });
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^godwit: the module no-such-package cannot be imported: [^\n]*\(PLUGIN_UNREADABLE\)\n {2}is it/,
    );
  });
});
