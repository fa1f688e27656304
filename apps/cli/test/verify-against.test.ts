// `verify --against`: what a destination's dump, and what it saved itself, tell of a stream. What QEMU does with the same
// is known: 7.2 refuses a 10.0 machine by its name and then for a command; 10.0 takes 7.2's q35; pseries it refuses for icp/server.

import { readFileSync } from "node:fs";
import { findVmdesc, type Vmdesc } from "@godwit/core/stream";
import { haveStreams, readStream, streamsFolder } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import type { AgainstReport } from "../src/verify/against.ts";
import { Folder } from "./bad-input-support.ts";
import { type Run, runCli } from "./run-cli.ts";

const stream = (name: string): string => `${streamsFolder()}/${name}.stream.zst`;
const dump = (name: string): string => `${streamsFolder()}/dump-vmstate/${name}.json`;

async function answer(args: readonly string[], code: 0 | 1): Promise<AgainstReport> {
  const run = await runCli(["verify", ...args, "--json"]);
  expect(run.code, run.stderr).toBe(code);
  const { against, differences } = JSON.parse(run.stdout) as { against: AgainstReport; differences: number };
  expect(differences).toBe(0);
  expect(against.answer).toBe(code === 1 ? "refused" : "no reason found");
  return against;
}

const codesOf = ({ reasons }: AgainstReport): readonly (readonly string[])[] =>
  reasons.map(({ code, section, path }) => [code, section, path]);

type Members = Record<string, unknown>;

interface Class {
  readonly Description: Members;
}

/** The dump of q35 with every description of that name changed. */
function changedDump(folder: Folder, name: string, change: (description: Members) => void): string {
  const json = JSON.parse(readFileSync(dump("pc-q35-7.2.qemu-7.2"), "utf8")) as Record<string, Partial<Class>>;
  for (const { Description } of Object.values(json)) if (Description?.["name"] === name) change(Description);
  return folder.file("dump.json", JSON.stringify(json));
}

describe.skipIf(!haveStreams())("verify --against", () => {
  it("tells what QEMU 7.2 refuses of a machine of 10.0", async () => {
    const args = [stream("q35-bare-10.0-m10.0"), "--against", dump("pc-q35-7.2.qemu-7.2")];
    const alone = await answer(args, 1);
    expect(alone.reasons).toEqual([
      expect.objectContaining({
        code: "MACHINE_MISMATCH",
        section: "configuration",
        path: "name",
        expected: "pc-q35-7.2",
        found: "pc-q35-10.0",
        remedy: expect.stringContaining("--rename-machine pc-q35-7.2"),
      }),
    ]);
    // A dump does not name the release that wrote it.
    expect(alone.doubts.map(({ code, found }) => [code, found])).toEqual([["COMMAND_UNKNOWN", "0xb SWITCHOVER_START"]]);
    for (const more of [
      ["--target-qemu", "7.2"],
      ["--target", stream("q35-bare-7.2")],
    ]) {
      const told = await answer([...args, ...more], 1);
      expect(codesOf(told)).toEqual([
        ["MACHINE_MISMATCH", "configuration", "name"],
        ["COMMAND_UNKNOWN", "command", "command"],
      ]);
      expect(told.doubts).toEqual([]);
    }
  });

  it.each([
    ["q35-bare-7.2", "pc-q35-7.2.qemu-10.0"],
    ["q35-vtd-virtio-7.2", "pc-q35-7.2.qemu-10.0"],
    ["i440fx-transitional-virtio-7.2", "pc-i440fx-7.2.qemu-10.0"],
    ["i440fx-bare-10.0-m7.2", "pc-i440fx-7.2.qemu-7.2"],
    ["s390-ccw-virtio-7.2", "s390-ccw-virtio-7.2.qemu-10.0"],
    ["pseries-hotplug-net-7.2", "pseries-7.2.qemu-7.2"],
  ])("finds no reason where QEMU finds none: %s into %s", async (name, target) => {
    const { doubts, notChecked } = await answer([stream(name), "--against", dump(target)], 0);
    expect(doubts).toEqual([]);
    expect(notChecked.join("\n")).toMatch(/RAM[\s\S]*--target[\s\S]*--target-qemu[\s\S]*ram\/0, /);
  });

  it("knows a destination's release to be no older than its machine type", async () => {
    const told = await answer([stream("q35-bare-10.0-m10.0"), "--against", dump("pc-q35-10.0.qemu-10.0")], 0);
    expect(told.doubts).toEqual([]);
    const older = await answer(
      [stream("q35-bare-10.0-m10.0"), "--against", dump("pc-q35-10.0.qemu-10.0"), "--target-qemu", "9.2"],
      1,
    );
    expect(codesOf(older)).toEqual([["COMMAND_UNKNOWN", "command", "command"]]);
  });

  it("compares with what the destination saved: names of fields change, bytes do not", async () => {
    const target = ["--target", stream("q35-bare-10.0-m7.2"), "--target-qemu", "10.0"];
    const told = await answer([stream("q35-bare-7.2"), "--against", dump("pc-q35-7.2.qemu-10.0"), ...target], 0);
    expect(told.doubts).toEqual([]);
    expect(told.notChecked.join()).not.toContain("--target");
  });

  it("needs the destination's own stream to see what pseries lost in 10.0", async () => {
    const args = [stream("pseries-bare-7.2"), "--against", dump("pseries-7.2.qemu-10.0")];
    const blind = await answer(args, 0);
    expect(blind.notChecked.join()).toContain("icp/server/0");
    // QEMU 10.0 does not register icp/server for a machine whose processors have none of their own.
    const { vmdesc } = findVmdesc(readStream("pseries-bare-7.2.stream")) as { vmdesc: Vmdesc };
    using folder = new Folder();
    const devices = vmdesc.devices.filter(({ name }) => name !== "icp/server");
    const path = folder.file("vmdesc.json", JSON.stringify({ ...vmdesc, devices }));
    for (const option of ["--target", "--vmdesc"]) {
      expect(codesOf(await answer([...args, option, path], 1))).toEqual([["SECTION_UNKNOWN", "icp/server/0", "idstr"]]);
    }
  });

  it("misses a device that the destination's command line lacks", async () => {
    const args = [stream("q35-vtd-virtio-7.2"), "--against", dump("pc-q35-7.2.qemu-7.2")];
    const told = await answer([...args, "--target", stream("q35-bare-7.2")], 1);
    expect(codesOf(told)).toContainEqual(["SECTION_UNKNOWN", "0000:00:01.0/virtio-net/0", "idstr"]);
    expect(told.reasons.every(({ code }) => code === "SECTION_UNKNOWN")).toBe(true);
    expect(told.reasons[0]?.remedy).toContain("command line");
  });

  it.each([
    ["a version too new", { version_id: 1 }, "SECTION_VERSION", "version_id"],
    ["a version too old", { version_id: 9, minimum_version_id: 8 }, "SECTION_VERSION", "version_id"],
    [
      "a field of another size",
      { Fields: [{ field: "config", version_id: 0, field_exists: false, size: 4 }] },
      "FIELD_SIZE",
      "config",
    ],
  ] as const)("sees %s", async (_, change, code, path) => {
    using folder = new Folder();
    const changed = changedDump(folder, "hpet", (description) => Object.assign(description, change));
    const told = await answer([stream("q35-bare-7.2"), "--against", changed], 1);
    expect(codesOf(told)).toEqual([[code, "hpet/0", path]]);
  });

  it.each([
    ["is not known", () => [], "SUBSECTION_UNKNOWN"],
    [
      "is of an older version",
      (all: Members[]) => all.map((one) => ({ ...one, version_id: 7, minimum_version_id: 6 })),
      "SUBSECTION_VERSION",
    ],
  ] as const)("sees a subsection that %s", async (_, change, code) => {
    using folder = new Folder();
    const changed = changedDump(folder, "fw_cfg", (description) => {
      description["Subsections"] = change(description["Subsections"] as Members[]);
    });
    const told = await answer([stream("q35-bare-7.2"), "--against", changed], 1);
    expect(codesOf(told)).toEqual([
      [code, "fw_cfg/0", "fw_cfg/dma"],
      [code, "fw_cfg/0", "fw_cfg/acpi_mr"],
    ]);
  });

  it("sees a subsection that is of a newer version", async () => {
    using folder = new Folder();
    const changed = changedDump(folder, "fw_cfg", (description) => {
      const all = description["Subsections"] as Members[];
      description["Subsections"] = all.map((one) => ({ ...one, version_id: 0, minimum_version_id: 0 }));
    });
    const told = await answer([stream("q35-bare-7.2"), "--against", changed], 1);
    // The other one has version 0 itself.
    expect(codesOf(told)).toEqual([["SUBSECTION_VERSION", "fw_cfg/0", "fw_cfg/acpi_mr"]]);
    expect(told.reasons[0]).toMatchObject({ expected: "0 to 0", found: "1" });
  });

  it("takes the best of several classes that share a description's name", async () => {
    using folder = new Folder();
    const json = JSON.parse(readFileSync(dump("pc-q35-7.2.qemu-7.2"), "utf8")) as Record<string, Class>;
    const hpet = json["hpet"] as Class;
    json["other-hpet"] = { ...hpet, Description: { ...hpet.Description, version_id: 1 } };
    await answer([stream("q35-bare-7.2"), "--against", folder.file("two.json", JSON.stringify(json))], 0);
  });

  it("is told in words", async () => {
    const run = await runCli(["verify", stream("q35-bare-10.0-m10.0"), "--against", dump("pc-q35-7.2.qemu-7.2")]);
    expect(run.code).toBe(1);
    expect(run.stdout).toMatch(
      /refused by .*pc-q35-7\.2\.qemu-7\.2\.json, because\n {2}section configuration, field name: /,
    );
    expect(run.stdout).toContain("not checked:");
    const fine = await runCli(["verify", stream("q35-bare-7.2"), "--against", dump("pc-q35-7.2.qemu-7.2")]);
    expect(fine.stdout).toContain("no reason found in");
  });

  it("is wrong use where its options make no sense", async () => {
    const wrong = async (...more: string[]): Promise<Run> => {
      const run = await runCli(["verify", stream("q35-bare-7.2"), "--json", ...more]);
      expect(run.code, more.join(" ")).toBe(2);
      return run;
    };
    expect((await wrong("--target-qemu", "7.2")).stdout).toContain("OPTION_ALONE");
    const against = ["--against", dump("pc-q35-7.2.qemu-7.2")];
    expect((await wrong(...against, "--target-qemu", "seven")).stdout).toContain("OPTION_RELEASE");
    expect((await wrong("--against", "/nothing/here.json")).stdout).toContain("INPUT_UNREADABLE");
  });
});
