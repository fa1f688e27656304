// `check --plugins`: an incompatible change of a plugin's description is named, a compatible one is not.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Description } from "@godwit/core";
import { buffer, since, subsection, u8, u16, u32, until, unused, vmstate } from "@godwit/core";
import { sideOf } from "@godwit/core/compatibility";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  comparePlugin,
  dumpOfPlugin,
  type PluginCompared,
  type PresentPlugin,
  presentPlugins,
} from "../src/check/plugins.ts";
import { type JsonDescription, type JsonField, lineOf } from "./check-support.ts";
import { runCli } from "./run-cli.ts";

const published = fileURLToPath(new URL("../../../docs/dumps/", import.meta.url));

const plugin = (version: string, ...descriptions: Description[]): PresentPlugin => ({
  ...{ name: "uart", version, descriptions },
});
const first = vmstate({ name: "uart", version: 1, fields: { lcr: u8, divisor: u16, fifo: buffer(16) } });
const compare = (present: Description, before: Description = first) =>
  comparePlugin(sideOf(dumpOfPlugin(plugin("1.0.0", before)), "uart"), plugin("1.1.0", present)).map(lineOf);

describe("what a plugin may change", () => {
  it("nothing", () => {
    expect(compare(first)).toEqual([]);
  });

  it("a field more, since a new version", () => {
    const fields = { lcr: u8, divisor: u16, fifo: buffer(16), baud: since(2, u32, { absent: 0 }) };
    expect(compare(vmstate({ name: "uart", version: 2, minimumVersion: 1, fields }))).toEqual([]);
  });

  it("a field less, until a new version", () => {
    const fields = { lcr: u8, divisor: until(2, u16, { absent: 0 }), fifo: buffer(16) };
    expect(compare(vmstate({ name: "uart", version: 2, minimumVersion: 1, fields }))).toEqual([]);
  });

  it("a subsection more", () => {
    const timeout = subsection({
      ...{ name: "uart/timeout", version: 1, fields: { ticks: u16 } },
      needed: (own: { ticks: number }) => own.ticks !== 0,
      absent: { ticks: 0 },
    });
    const fields = { lcr: u8, divisor: u16, fifo: buffer(16) };
    expect(compare(vmstate({ name: "uart", version: 1, fields, subsections: { timeout } }))).toEqual([]);
  });
});

describe("what a plugin may not change", () => {
  it("a field more, in the same version", () => {
    const fields = { lcr: u8, divisor: u16, fifo: buffer(16), baud: u32 };
    expect(compare(vmstate({ name: "uart", version: 1, fields }))).toEqual([
      "breaks forward FIELD_ADDED uart#baud",
      "breaks backward FIELD_REMOVED uart#baud",
    ]);
  });

  it("a field more in a new version that is not said to be since it", () => {
    const fields = { lcr: u8, divisor: u16, fifo: buffer(16), baud: u32 };
    expect(compare(vmstate({ name: "uart", version: 2, minimumVersion: 1, fields }))).toEqual([
      "breaks forward FIELD_ADDED uart#baud",
    ]);
  });

  it("the size, the order, the type of a field", () => {
    const of = (fields: Parameters<typeof vmstate>[0]["fields"]) => vmstate({ name: "uart", version: 1, fields });
    expect(compare(of({ lcr: u8, divisor: u32, fifo: buffer(16) }))[0]).toBe("breaks forward FIELD_SIZE uart#divisor");
    expect(compare(of({ divisor: u16, lcr: u8, fifo: buffer(16) }))[0]).toMatch(/^breaks forward FIELD_ORDER uart#/);
    expect(compare(of({ lcr: u8, divisor: buffer(2), fifo: buffer(16) }))[0]).toBe(
      "may break forward FIELD_TYPE uart#divisor",
    );
  });

  it("the minimum version", () => {
    const fields = { lcr: u8, divisor: u16, fifo: buffer(16) };
    expect(compare(vmstate({ name: "uart", version: 2, fields }))).toEqual(["breaks forward VERSION_TOO_OLD uart"]);
  });

  it("a field for padding, which older versions would read as zero", () => {
    const fields = { lcr: u8, _divisor: unused(2), fifo: buffer(16) };
    expect(compare(vmstate({ name: "uart", version: 1, fields }))).toEqual([
      "may break backward PADDING_TO_FIELD uart#divisor",
    ]);
  });

  it("its name, its priority, a subsection that was there", () => {
    const fields = { lcr: u8, divisor: u16, fifo: buffer(16) };
    expect(compare(vmstate({ name: "serial", version: 1, fields }))).toEqual(["may break forward SECTION_REMOVED "]);
    expect(compare(vmstate({ name: "uart", version: 1, priority: "iommu", fields }))).toEqual([
      "may break forward PRIORITY uart",
      "may break backward PRIORITY uart",
    ]);
    const timeout = subsection({
      ...{ name: "uart/timeout", version: 1, fields: { ticks: u16 } },
      needed: (own: { ticks: number }) => own.ticks !== 0,
      absent: { ticks: 0 },
    });
    const before = vmstate({ name: "uart", version: 1, fields, subsections: { timeout } });
    expect(compare(first, before)).toEqual(["may break forward SUBSECTION_REMOVED uart#uart/timeout"]);
  });
});

describe("our plugins", () => {
  const present = presentPlugins();
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "godwit-plugins-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = async (...options: string[]) => {
    const { code, stdout, stderr } = await runCli(["check", "--plugins", ...options], { folder });
    return { code, stdout, stderr };
  };

  it("are all that describe sections: no plugin's folder is left out", () => {
    const root = fileURLToPath(new URL("../../../plugins/", import.meta.url));
    const none = ["qtailq-codec", "ram-dirty-tracker", "virtio-testkit"];
    const folders = readdirSync(root).filter((name) => existsSync(join(root, name, "package.json")));
    expect(present.map(({ name }) => name).sort()).toEqual(folders.filter((name) => !none.includes(name)).sort());
  });

  it("read what each published version wrote", async () => {
    const { code, stdout } = await run(published);
    expect(stdout).toBe(
      `${readdirSync(published).length} published descriptions of plugins: each is still read, and none is misread\n`,
    );
    expect(code).toBe(0);
  });

  it.each(present.map((one) => [one.name, one] as const))("%s: any field of it that changes is named", (_, one) => {
    const dump = JSON.parse(JSON.stringify(dumpOfPlugin(one))) as Record<string, unknown>;
    expect(comparePlugin(sideOf(dump, one.name), one)).toEqual([]);
    const all = promisesIn(dump);
    const promised = all.filter((_, i) => i % Math.ceil(all.length / 60) === 0);
    for (const field of promised) {
      field.size++;
      expect(comparePlugin(sideOf(dump, one.name), one).length, `${one.name} ${field.field}`).toBeGreaterThan(0);
      field.size--;
    }
    // virtio-rng has nothing of its own, and virtio-console's part is a kind of field of its own.
    if (!["virtio-rng", "virtio-console"].includes(one.name)) expect(promised.length).toBeGreaterThan(0);
  });

  it("--write writes what is missing, and never over a published one", async () => {
    const dumps = join(folder, "dumps");
    const { code, stdout } = await run("dumps", "--write");
    expect(code).toBe(0);
    expect(stdout.split("\n").filter((line) => line.startsWith("written: "))).toHaveLength(present.length);
    const file = join(dumps, "iommu-vtd-0.1.0.json");
    const text = readFileSync(file, "utf8");
    expect(text).toBe(readFileSync(join(published, "iommu-vtd-0.1.0.json"), "utf8"));
    expect(text.split("\n").every((line) => line.length <= 120)).toBe(true);
    const json = JSON.parse(text) as Record<string, { Description: JsonDescription }>;
    const head = json["iommu-intel"]?.Description.Fields?.find(({ field }) => field === "iq_head") as JsonField;
    head.size = 4;
    writeFileSync(file, JSON.stringify(json));
    const again = await run("dumps", "--write");
    expect(again.code).toBe(1);
    expect(again.stdout).not.toContain("written: ");
    expect(again.stdout).toContain("iommu-vtd  0.1.0 -> 0.1.0  breaks  FIELD_SIZE  iommu-intel#iq_head\n");
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(json);
    const result = JSON.parse((await run("dumps", "--json")).stdout) as { compared: readonly PluginCompared[] };
    expect(result.compared.filter(({ findings }) => findings.length > 0).map((one) => one.plugin)).toEqual([
      "iommu-vtd",
    ]);
  });

  it("a published plugin that is gone is named: nothing reads its saves any more", async () => {
    await run("gone", "--write");
    const dump = dumpOfPlugin(plugin("1.0.0", first));
    writeFileSync(join(folder, "gone", "uart-1.0.0.json"), JSON.stringify(dump));
    const { code, stdout } = await run("gone");
    expect(code).toBe(1);
    expect(stdout).toContain("uart  1.0.0 -> none  may break  SECTION_REMOVED  uart\n");
  });

  it("a plugin without a published dump is wrong use", async () => {
    const { code, stderr } = await run("nowhere");
    expect(code).toBe(2);
    expect(stderr).toContain("PLUGIN_UNPUBLISHED");
  });
});

/** Fields whose size is fixed, and which the present version has. */
function promisesIn(dump: Record<string, unknown>): JsonField[] {
  const descriptions = Object.values(dump).flatMap(
    (one) => (one as { Description?: JsonDescription }).Description ?? [],
  );
  const within = (one: JsonDescription): JsonField[] => {
    const { Fields = [], Subsections = [], version_id: version } = one;
    const present = Fields.filter(({ version_id, godwit }) => {
      const until = godwit?.["until"] as number | undefined;
      return version_id <= version && (until === undefined || version < until);
    });
    return [
      ...present.filter(({ size, Description }) => size > 0 && Description === undefined),
      ...present.flatMap(({ Description }) => (Description === undefined ? [] : within(Description))),
      ...Subsections.flatMap(within),
    ];
  };
  return descriptions.flatMap(within);
}
