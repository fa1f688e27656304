// `check` over the real dumps of QEMU 7.2 and 10.0: short, and nothing said that is not so.

import type { Finding } from "@godwit/core/compatibility";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { check } from "../src/check/check.ts";
import { type DumpName, dumpNames, dumpPath, dumpText, lineOf, linesOf, realSide } from "./check-support.ts";
import { runCli } from "./run-cli.ts";

const of = (machine: string) =>
  check(realSide(`${machine}.qemu-7.2` as DumpName), realSide(`${machine}.qemu-10.0` as DumpName));
const bad = ({ severity }: Finding) => severity === "breaks" || severity === "may break";
const badLines = (machine: string) => of(machine).findings.filter(bad).map(lineOf);

/** What e1000e, esp, sb16 and the rest bring to every machine; each with the device. */
const everywhere = [
  "may break forward FIELD_ADDED_CONDITIONAL e1000e#core.timadj",
  "may break forward FIELD_ADDED esp#drq_state",
  "may break forward SUBSECTION_REMOVED esp#esp/pdma",
  "may break backward PADDING_TO_FIELD e1000e#core.itr_intr_pending",
  "may break backward FIELD_REMOVED_CONDITIONAL e1000e#core.timadj",
  "may break backward PADDING_TO_FIELD sd-card#enable",
  "may break backward SUBSECTION_REMOVED sd-card#sd-card/ext_csd_modes-state",
  "may break backward SUBSECTION_REMOVED virtio-gpu#virtio-gpu/blob",
  "may break backward SUBSECTION_REMOVED i8259#i8259/ltim",
  "may break backward FIELD_REMOVED esp#drq_state",
  "may break backward PADDING_TO_FIELD sb16#irq, dma, hdma, port, ver",
];

describe.skipIf(!haveStreams())("the dumps of QEMU 7.2 and 10.0", () => {
  it.each(dumpNames)("%s: nothing against itself", (name) => {
    expect(check(realSide(name), realSide(name)).findings).toEqual([]);
  });

  it("one QEMU, two machine types: their names alone", () => {
    const { findings } = check(realSide("pc-q35-7.2.qemu-10.0"), realSide("pc-q35-10.0.qemu-10.0"));
    expect(findings.map(lineOf)).toEqual([
      "breaks forward MACHINE_NAME configuration",
      "breaks backward MACHINE_NAME configuration",
    ]);
  });

  it.each(["pc-q35-7.2", "pc-i440fx-7.2"])("%s: no certain break, and what may break by device", (machine) => {
    expect(badLines(machine).sort()).toEqual(
      [...everywhere, "may break backward SUBSECTION_REMOVED acpi-ged#acpi-ged/cpuhp"].sort(),
    );
    expect(
      of(machine)
        .findings.filter(bad)
        .every(({ conditions }) => conditions.includes("device")),
    ).toBe(true);
  });

  it("pseries: besides, the host bridge's fields for machine types before 2.8", () => {
    const removed = ["liobn", "mem_win_addr", "mem_win_size", "io_win_addr", "io_win_size"].flatMap((name) => [
      `may break forward FIELD_REMOVED_CONDITIONAL spapr_pci#mig_${name}`,
      `may break backward FIELD_ADDED_CONDITIONAL spapr_pci#mig_${name}`,
    ]);
    expect(badLines("pseries-7.2").sort()).toEqual([...everywhere, ...removed].sort());
  });

  it("s390: the interrupt controller's state", () => {
    expect(badLines("s390-ccw-virtio-7.2").sort()).toEqual([
      "may break backward FIELD_CONDITION qemu-s390-flic#nimm",
      "may break backward FIELD_CONDITION qemu-s390-flic#simm",
      "may break backward SUBSECTION_REMOVED qemu-s390-flic#qemu-s390-flic-full",
      "may break backward SUBSECTION_REMOVED virtio-gpu#virtio-gpu/blob",
      "may break forward FIELD_CONDITION qemu-s390-flic#nimm",
      "may break forward FIELD_CONDITION qemu-s390-flic#simm",
    ]);
  });

  it("virt: boards' devices whose old versions were given up, and none of the machine's own", () => {
    const { findings } = of("virt-7.2");
    expect(findings.filter(({ severity }) => severity === "breaks")).toEqual([]);
    const refused = findings.filter(({ code, direction }) => code === "VERSION_TOO_OLD" && direction === "forward");
    const classes = refused.flatMap(({ places }) => places.map(({ section }) => section)).sort();
    expect(classes).toEqual([
      ...["aspeed.i2c", "aspeed.i2c-ast1030", "aspeed.i2c-ast2400", "aspeed.i2c-ast2500", "aspeed.i2c-ast2600"],
      ...["aspeed.sdmc", "aspeed.sdmc-ast2400", "aspeed.sdmc-ast2500", "aspeed.sdmc-ast2600", "ftgmac100"],
      ...["imx.enet", "imx.epit", "imx.fec", "imx.serial", "lan9118", "musicpal_key", "npcm7xx-clk", "npcm7xx-gcr"],
    ]);
    const own = ["arm-gicv3", "arm_gic", "pl011", "pl031", "pl061", "fw_cfg", "gpex-pcihost", "PCIBUS", "platform-bus"];
    const forward = findings.filter((one) => bad(one) && one.direction === "forward");
    expect(forward.flatMap(({ places }) => places).filter(({ section }) => own.includes(section))).toEqual([]);
  });

  it("says of QEMU 7.2's dumps that they have no array counts, and of 10.0's nothing", () => {
    const counts = (one: { notCompared: readonly string[] }) =>
      one.notCompared.filter((sentence) => sentence.startsWith("array counts"));
    expect(counts(of("pc-q35-7.2"))).toEqual(["array counts: the old dump holds none (QEMU before 10.0)"]);
    expect(counts(check(realSide("pc-q35-7.2.qemu-10.0"), realSide("pc-q35-10.0.qemu-10.0")))).toEqual([]);
    const old = realSide("pc-q35-7.2.qemu-7.2");
    expect(counts(check(old, old))).toEqual(["array counts: neither dump holds any (QEMU before 10.0)"]);
  });

  it.each(["pc-q35-7.2", "pc-i440fx-7.2"])("%s: a handful of lines by default, exit 0; --strict 1", async (machine) => {
    const paths = [dumpPath(`${machine}.qemu-7.2` as DumpName), dumpPath(`${machine}.qemu-10.0` as DumpName)];
    const run = await runCli(["check", ...paths]);
    expect(run.code).toBe(0);
    expect(run.stdout).toContain("no certain break found; 12 may break, 6 unknown, 23 harmless");
    expect(
      run.stdout.split("\n").filter((line) => /^ {2}(old -> new|new -> old|both ways) {2}/.test(line)),
    ).toHaveLength(5);
    expect(run.stdout).not.toContain("kvm-i8259#i8259");
    expect((await runCli(["check", ...paths, "--strict"])).code).toBe(1);
  });
});

describe.skipIf(!haveStreams())("the two breaks that practice has and no dump shows", () => {
  it("pseries: icp/server stands in no dump of either QEMU", () => {
    for (const name of ["pseries-7.2.qemu-7.2", "pseries-7.2.qemu-10.0"] as const) {
      expect(dumpText(name)).not.toMatch(/icp\/server|"icp"/);
      expect(realSide(name).classes.map((one) => one.description.name)).not.toContain("icp/server");
    }
    expect(linesOf(of("pseries-7.2")).filter((line) => /icp|ics|xive/.test(line))).toEqual([]);
  });

  it("virt: cpu stands in no dump of either QEMU", () => {
    for (const name of ["virt-7.2.qemu-7.2", "virt-7.2.qemu-10.0"] as const) {
      const names = realSide(name).classes.map((one) => one.description.name);
      expect(names.filter((one) => one === "cpu" || one === "cpu_common" || one.startsWith("cpu/"))).toEqual([]);
      expect(dumpText(name)).not.toContain("cpreg_vmstate_indexes");
    }
  });

  it.each(["pseries-7.2", "virt-7.2"])("%s: the output names the sections that dumps do not hold", async (machine) => {
    const paths = [dumpPath(`${machine}.qemu-7.2` as DumpName), dumpPath(`${machine}.qemu-10.0` as DumpName)];
    const run = await runCli(["check", ...paths]);
    const [line] = run.stdout.split("\n").filter((one) => one.includes("no dump holds them"));
    expect(line).toMatch(/cpu, timer, icp\/server and others/);
    expect(line).toContain("--vmdesc");
  });
});
