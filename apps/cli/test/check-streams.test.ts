// `check` with streams of the machines beside their dumps: which sections there really are, their types, and icp/server.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Vmdesc } from "@godwit/core/stream";
import { absent } from "@godwit/test-support/required";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { check } from "../src/check/check.ts";
import { sectionsOf } from "../src/check/read.ts";
import { sideWithVmdesc } from "../src/check/vmdesc.ts";
import { type DumpName, dumpPath, lineOf, linesOf, realSide, vmdescIn, vmdescOfCase } from "./check-support.ts";
import { runCli } from "./run-cli.ts";

interface Pair {
  readonly old: DumpName;
  readonly new: DumpName;
  readonly ofOld?: Vmdesc;
  readonly ofNew?: Vmdesc;
}

function compare({ old, new: newer, ofOld, ofNew }: Pair) {
  const side = (name: DumpName, vmdesc: Vmdesc | undefined) =>
    vmdesc === undefined ? realSide(name) : sideWithVmdesc(realSide(name), vmdesc);
  return check(side(old, ofOld), side(newer, ofNew), { sections: sectionsOf([ofOld, ofNew]) });
}

const withoutSection = (vmdesc: Vmdesc, name: string): Vmdesc => ({
  ...vmdesc,
  devices: vmdesc.devices.filter((device) => device.name !== name),
});

const pseries = { old: "pseries-7.2.qemu-7.2", new: "pseries-7.2.qemu-10.0" } as const;

describe.skipIf(!haveStreams())("check with streams", () => {
  it("q35: with a stream of each, nothing stands in the way from 7.2 to 10.0, as practice says", () => {
    const result = compare({
      ...{ old: "pc-q35-7.2.qemu-7.2", new: "pc-q35-7.2.qemu-10.0" },
      ...{ ofOld: vmdescOfCase("q35-bare-7.2"), ofNew: vmdescOfCase("q35-bare-10.0-m7.2") },
    });
    const lines = linesOf(result).filter((line) => !line.startsWith("harmless"));
    expect(lines).toEqual([
      "may break backward SUBSECTION_REMOVED i8259#i8259/ltim",
      "unknown forward SECTION_ORDER ",
      "unknown backward SECTION_ORDER ",
    ]);
    expect(linesOf(result)).toContain("harmless forward FIELD_SIGN ahci#ports");
    expect(linesOf(result)).toContain("harmless forward FIELD_SPLIT globalstate#runstate");
    expect(result.notCompared).toEqual(["priorities and what `needed` and existence tests say: they are in no dump"]);
  });

  it("i440fx: the disk controller, of which 7.2's dump has no class, is in its stream and is read", () => {
    const ofOld = vmdescOfCase("i440fx-legacy-virtio-7.2");
    const pair = { old: "pc-i440fx-7.2.qemu-7.2", new: "pc-i440fx-7.2.qemu-10.0" } as const;
    const removed = (result: ReturnType<typeof compare>) =>
      result.findings.filter(({ code, direction }) => code === "SECTION_REMOVED" && direction === "backward");
    expect(removed(compare({ ...pair, ofOld }))).toEqual([]);
    const old = sideWithVmdesc(realSide(pair.old), withoutSection(ofOld, "0000:00:01.1/ide"));
    const [found] = removed(check(old, realSide(pair.new), { sections: sectionsOf([ofOld]) }));
    expect(found).toMatchObject({
      severity: "may break",
      places: [{ section: "piix3-ide" }, { section: "piix4-ide" }],
    });
  });

  it("s390: a stream of 10.0 had the subsection that 7.2 does not know", () => {
    const { findings } = compare({
      ...{ old: "s390-ccw-virtio-7.2.qemu-7.2", new: "s390-ccw-virtio-7.2.qemu-10.0" },
      ...{ ofNew: vmdescOfCase("s390-ccw-5dev-10.0") },
    });
    expect(findings.filter(({ severity }) => severity === "breaks").map(lineOf)).toEqual([
      "breaks backward SUBSECTION_REMOVED qemu-s390-flic#qemu-s390-flic-full",
    ]);
  });

  it("pseries, one stream: names icp/server and cpu among the sections that neither dump holds", () => {
    const { findings } = compare({ ...pseries, ofOld: vmdescOfCase("pseries-bare-7.2") });
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ severity: "unknown", code: "SECTION_IN_NO_DUMP", direction: "forward" });
    expect(findings[0]?.places.map(({ section }) => section)).toEqual([
      ...["timer/0", "cpu_common/0", "cpu/0", "icp/server/0", "spapr_cpu/0", "spapr_iommu/2147483648"],
      ...["spapr_iommu/2147483649", "PCIBUS/0", "spapr/0", "globalstate/0"],
    ]);
  });

  it("pseries, a stream of each: a destination without icp/server may break, by name", () => {
    const ofOld = vmdescOfCase("pseries-bare-7.2");
    const same = compare({ ...pseries, ofOld, ofNew: ofOld });
    expect(same.findings.filter(({ severity }) => severity !== "harmless")).toEqual([]);
    const { findings } = compare({ ...pseries, ofOld, ofNew: withoutSection(ofOld, "icp/server") });
    const bad = findings.filter(({ severity }) => severity !== "harmless");
    expect(bad).toHaveLength(1);
    expect(bad[0]).toMatchObject({
      ...{ severity: "may break", code: "SECTION_UNKNOWN", direction: "forward", old: "icp/server/0" },
      places: [{ section: "icp/server/0", path: "" }],
    });
  });

  it("cpu: what a stream of each shows of it is compared, though no dump has it", () => {
    const ofOld = vmdescOfCase("pseries-bare-7.2");
    const devices = ofOld.devices.map((device) =>
      device.name === "cpu" ? { ...device, fields: device.fields?.slice(1) ?? [] } : device,
    );
    const bad = compare({ ...pseries, ofOld, ofNew: { ...ofOld, devices } }).findings;
    const [first] = ofOld.devices.find(({ name }) => name === "cpu")?.fields ?? [];
    expect(bad.filter(({ severity }) => severity !== "harmless").map((f) => [lineOf(f), f.places])).toEqual([
      [`may break forward FIELD_REMOVED cpu#${first?.name}`, [{ section: "cpu/0", path: "" }]],
      [`may break backward FIELD_ADDED cpu#${first?.name}`, [{ section: "cpu/0", path: "" }]],
    ]);
  });

  it("pseries: a hot-plugged CPU and DIMM on one side are sections that the other does not take", () => {
    const { findings } = compare({
      ...{ old: "pseries-7.2.qemu-7.2", new: "pseries-7.2.qemu-7.2" },
      ofOld: vmdescOfCase("pseries-hotplug-net-cpu-dimm-7.2"),
      ofNew: vmdescOfCase("pseries-bare-7.2"),
    });
    const unknown = findings.filter(({ code }) => code === "SECTION_UNKNOWN").flatMap(({ places }) => places);
    expect(unknown.map(({ section }) => section)).toContain("icp/server/1");
    expect(findings.filter(({ severity }) => severity === "breaks")).toEqual([]);
  });
});

describe.skipIf(!haveStreams())("the options that choose", () => {
  const paths = [dumpPath("pc-q35-7.2.qemu-7.2"), dumpPath("pc-q35-7.2.qemu-10.0")];
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "godwit-check-"));
    writeFileSync(join(folder, "vm.stream"), readStream("q35-bare-7.2.stream"));
    writeFileSync(join(folder, "vmdesc.json"), JSON.stringify(vmdescOfCase("q35-bare-10.0-m7.2")));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = async (...options: string[]) => {
    const { code, stdout } = await runCli(["check", ...paths, "--json", ...options], { folder });
    return { code, ...(JSON.parse(stdout) as ReturnType<typeof check>) };
  };

  it("--only-of: the machine's own sections, and nothing of devices that it has not", async () => {
    const { code, findings } = await run("--only-of", "vm.stream");
    expect(code).toBe(0);
    expect(findings.filter(({ severity }) => severity !== "harmless").map(lineOf)).toEqual([
      "may break backward SUBSECTION_REMOVED i8259#i8259/ltim",
    ]);
    expect(findings.every(({ conditions }) => !conditions.includes("device"))).toBe(true);
  });

  it("--vmdesc and --vmdesc-new: a stream, and the JSON of one", async () => {
    const { findings, notCompared } = await run("--vmdesc", "vm.stream", "--vmdesc-new", "vmdesc.json");
    expect(findings.map(lineOf)).toContain("harmless forward FIELD_SIGN ahci#ports");
    expect(notCompared).toHaveLength(1);
  });

  it("--devices: what is named is taken to be there, and breaks for certain", async () => {
    const { code, findings } = await run("--devices", "am53c974", "--devices", "sysbusesp*");
    expect(code).toBe(1);
    expect(findings.filter(({ severity }) => severity === "breaks")).toMatchObject([
      { code: "FIELD_ADDED", subject: "drq_state", places: [{ section: "am53c974" }, { section: "sysbus-esp" }] },
      { code: "FIELD_REMOVED", subject: "drq_state" },
    ]);
    expect(findings.flatMap(({ places }) => places.map(({ section }) => section)).sort()).toEqual(
      expect.arrayContaining(["am53c974"]),
    );
    expect(findings.some(({ places }) => places.some(({ section }) => section === "e1000e"))).toBe(false);
  });
});

const ppc64 = "qemu-system-ppc64";

/** QEMU judges bytes, and these are the same on every runtime: it is asked once, on Bun. */
function havePpc64(): boolean {
  if (process.versions["bun"] === undefined) return false;
  return spawnSync(ppc64, ["--version"]).status === 0 || absent("qemu", `no ${ppc64} on the path`, "a test of check");
}

describe.skipIf(!haveStreams() || !havePpc64())("against live QEMU", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "godwit-check-live-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const qemu = (mode: string, input: string, ...more: string[]) =>
    spawnSync(
      ppc64,
      [
        ...["-M", `pseries-7.2,accel=tcg,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,ic-mode=${mode}`],
        ...["-cpu", "power9_v2.0", "-m", "256", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio", ...more],
      ],
      { cwd: folder, input, encoding: "utf8", timeout: 50_000, killSignal: "SIGKILL" },
    );
  const saved = (mode: string) => {
    qemu(mode, `migrate "exec:cat > ${mode}.stream"\nquit\n`);
    return vmdescIn(new Uint8Array(readFileSync(join(folder, `${mode}.stream`))));
  };

  it("pseries: the first section that check names is the one for which QEMU refuses the stream", () => {
    const dump = "pseries-7.2.qemu-7.2";
    const { findings } = compare({ old: dump, new: dump, ofOld: saved("dual"), ofNew: saved("xive") });
    const unknown = findings.filter(({ code, direction }) => code === "SECTION_UNKNOWN" && direction === "forward");
    expect(unknown.map(({ code, old }) => [code, old])).toEqual([
      ["SECTION_UNKNOWN", "ics/0"],
      ["SECTION_UNKNOWN", "icp/server/0"],
    ]);
    const refused = qemu("xive", "", "-incoming", "exec:cat dual.stream");
    expect(refused.stderr).toContain("Unknown savevm section or instance 'ics' 0");
    expect(refused.status).toBe(1);
  });
});
