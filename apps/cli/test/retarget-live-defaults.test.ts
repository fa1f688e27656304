// What machine types give their devices, asked of a real QEMU 7.2: every row that says something of its machine types.
import { spawnSync } from "node:child_process";
import { absent } from "@godwit/test-support/required";
import { describe, expect, it } from "vitest";
import { compareReleases, machineType, type Release } from "../src/retarget/machine.ts";
import { machineDefault, machineDefaults } from "../src/retarget/machine-defaults.ts";

const binary = "qemu-system-x86_64";
const newest: Release = [7, 2, 0];

/** One matrix asks it, on Bun; the rows are of that release. */
function haveQemu(): boolean {
  if (process.versions["bun"] === undefined) return false;
  const { stdout } = spawnSync(binary, ["--version"], { encoding: "utf8" });
  if (/version 7\.2\b/.test(stdout ?? "")) return true;
  return absent("qemu", `no ${binary} 7.2 on the path`, "tests with live QEMU");
}

const devices = [
  "virtio-net-pci",
  "virtio-blk-pci",
  "virtio-rng-pci",
  "virtio-balloon-pci",
  "virtio-serial-pci",
  "virtio-scsi-pci",
];
const backEnd: Readonly<Record<string, string>> = { "virtio-net-pci": ",netdev=n0", "virtio-blk-pci": ",drive=d0" };

interface Answer {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

/** Starts a machine of that type, asks for the properties, and ends it. */
function ask(machine: string, asked: readonly { device: string; property: string }[]): readonly Answer[] {
  const own = asked.some(({ device }) => device === "intel-iommu") ? ["-device", "intel-iommu,id=intel-iommu"] : [];
  const args = [
    ...["-M", `${machine},accel=tcg`, "-m", "16", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"],
    ...["-netdev", "hubport,id=n0,hubid=0", "-blockdev", "null-co,node-name=d0,size=1048576"],
    ...own,
    ...devices.flatMap((device) => ["-device", `${device},id=${device}${backEnd[device] ?? ""}`]),
  ];
  const commands = [
    { execute: "qmp_capabilities" },
    ...asked.map(({ device, property }) => ({
      execute: "qom-get",
      arguments: { path: `/machine/peripheral/${device}`, property },
    })),
    { execute: "quit" },
  ];
  const input = commands.map((one) => JSON.stringify(one)).join("\n");
  const { stdout, stderr } = spawnSync(binary, args, { input, encoding: "utf8", timeout: 30_000 });
  const answers = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Answer)
    .filter((one) => "return" in one || "error" in one);
  expect(answers.length, `${machine}: ${stderr}`).toBe(commands.length);
  return answers.slice(1, -1);
}

const optionValue = (answer: Answer): string =>
  typeof answer.return === "boolean" ? (answer.return ? "on" : "off") : String(answer.return);

describe.skipIf(!haveQemu())("machine types of QEMU 7.2", () => {
  const ends = machineDefaults
    .flatMap(({ seen }) => seen.flatMap(({ from, to }) => [from, to]))
    .filter((release) => compareReleases(release, newest) <= 0)
    .map(([major, minor]) => `${major}.${minor}`);

  it.each([...new Set(ends)])("%s: q35 and i440fx have what the table says", (release) => {
    for (const family of ["pc-q35", "pc-i440fx"]) {
      const machine = `${family}-${release}`;
      const rows = machineDefaults.filter(
        ({ device, property }) =>
          machineDefault(machineType(machine), device, property) !== undefined &&
          !(device === "intel-iommu" && family !== "pc-q35"),
      );
      expect(rows.length).toBeGreaterThan(15);
      for (const [i, answer] of ask(machine, rows).entries()) {
        const { device, property } = rows[i] as (typeof rows)[number];
        const known = machineDefault(machineType(machine), device, property);
        const what = `${machine}: ${device} ${property}`;
        if (known?.fixed === true) expect(answer.error?.desc, what).toMatch(/property .*not found/i);
        else expect(optionValue(answer), what).toBe(known?.value);
      }
    }
  });
});
