// The options that a stream shows, held against the command line that it was saved under; and what machine types have by
// themselves.
import { haveStreams, manifest } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { decoded } from "../src/retarget/decoded.ts";
import { machineType } from "../src/retarget/machine.ts";
import { machineDefault, machineDefaults } from "../src/retarget/machine-defaults.ts";
import type { DestinationOption } from "../src/retarget/types.ts";
import { virtioFacts } from "../src/retarget/virtio.ts";
import { virtioOption } from "../src/retarget/virtio-options.ts";
import { vtdIdstr, vtdOption } from "../src/retarget/vtd-options.ts";
import { suppliedSource } from "./retarget-sources.ts";

const properties = (option: DestinationOption | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries((option?.properties ?? []).map(({ name, value }) => [name, value]));

/** `-device` and its properties, as the stream's own command line has them. */
function said(stream: string): { readonly device: string; readonly properties: Readonly<Record<string, string>> }[] {
  const line = manifest().find((one) => one.name === stream)?.command_line ?? expect.unreachable(stream);
  return [...line.matchAll(/-device (\S+)/g)].map(([, words = ""]) => {
    const [device = "", ...rest] = words.split(",");
    return { device, properties: Object.fromEntries(rest.map((one) => one.split("=") as [string, string])) };
  });
}

async function optionsOf(stream: string, machine: string): Promise<DestinationOption[]> {
  const to = machineType(machine);
  return (await suppliedSource(stream)).sections
    .filter(({ phase }) => phase === "full")
    .map(decoded)
    .flatMap((one) => (one.head.idstr === vtdIdstr ? vtdOption(one, to).option : virtioOption(one, to)) ?? []);
}

/** Properties of back ends and names, which no stream shows, and `ats`, which a conventional function does not have. */
const unseen = new Set(["id", "netdev", "drive", "romfile", "chardev", "ats", "name", "bus"]);

describe.skipIf(!haveStreams())("options", () => {
  it.each([
    ["q35-vtd-virtio-7.2", "pc-q35-7.2"],
    ["q35-vtd-virtio-10.0", "pc-q35-10.0"],
    ["i440fx-legacy-virtio-7.2", "pc-i440fx-7.2"],
    ["i440fx-transitional-virtio-7.2", "pc-i440fx-7.2"],
    ["s390-ccw-virtio-7.2", "s390-ccw-virtio-7.2"],
  ])("of %s are those of its command line", async (stream, machine) => {
    const found = await optionsOf(stream, machine);
    const given = said(stream).filter(({ device }) => /^(intel-iommu|virtio-.*-(pci|ccw))$/.test(device));
    expect(found.map(({ device }) => device)).toEqual(given.map(({ device }) => device));
    for (const [i, { device, properties: own }] of given.entries()) {
      for (const [name, value] of Object.entries(own)) {
        if (!unseen.has(name)) expect(properties(found[i])[name], `${stream}: ${device} ${name}`).toBe(value);
      }
    }
  });

  it("say what a machine type has otherwise, and nothing where it has the same", async () => {
    const balloonAndRng = async (machine: string) =>
      (await optionsOf("i440fx-transitional-virtio-7.2", machine))
        .filter(({ device }) => /balloon|rng|net/.test(device))
        .flatMap(({ device, properties: all }) =>
          all.flatMap(({ name, value, instead }) =>
            instead === undefined ? [] : [`${device} ${name}=${value} ${instead}`],
          ),
        );
    expect(await balloonAndRng("pc-i440fx-7.2")).toEqual([]);
    expect(await balloonAndRng("pc-i440fx-7.1")).toEqual([
      "virtio-net-pci queue_reset=on off",
      "virtio-rng-pci vectors=2 0",
      "virtio-rng-pci queue_reset=on off",
      "virtio-balloon-pci queue_reset=on off",
    ]);
    const oldest = await balloonAndRng("pc-i440fx-2.4");
    expect(oldest).toContain("virtio-net-pci vectors=4 3");
    expect(oldest).toContain("virtio-net-pci disable-modern=off on");
    expect(oldest).toContain("virtio-net-pci page-per-vq=off on");
    expect(oldest).toContain("virtio-balloon-pci page-poison=on off");
    // Nothing is known of machines that were not looked at.
    expect(await balloonAndRng("virt-7.1")).toEqual([]);
  });

  it("no row of the table says two things of one release", () => {
    expect(machineDefaults.length).toBeGreaterThan(20);
    const keys = machineDefaults.map(({ device, property }) => `${device} ${property}`);
    expect(new Set(keys).size).toBe(keys.length);
    for (const { device, property, seen } of machineDefaults) {
      const ends = seen.flatMap(({ from, to }) => [from, to]);
      for (const release of ends) {
        const fitting = seen.filter(({ from, to }) => compare(from, release) <= 0 && compare(release, to) <= 0);
        expect(fitting, `${device} ${property} ${release.join(".")}`).toHaveLength(1);
      }
    }
  });

  it("what the table says of 10.0 is what its streams show, where nothing was said", async () => {
    const stream = "q35-vtd-virtio-10.0";
    const ten = machineType("pc-q35-10.0");
    const given = new Map(said(stream).map((one) => [one.device, one.properties]));
    const shown = new Map((await optionsOf(stream, "x")).map((one) => [one.device, properties(one)]));
    const features = new Map<string, bigint>();
    for (const section of (await suppliedSource(stream)).sections) {
      const facts = section.phase === "full" ? virtioFacts(decoded(section)) : undefined;
      if (facts !== undefined) features.set(facts.device, facts.features);
    }
    const bits: Readonly<Record<string, bigint>> = {
      queue_reset: 40n,
      "page-poison": 4n,
      discard: 13n,
      "write-zeroes": 14n,
    };
    let looked = 0;
    for (const { device, property } of machineDefaults) {
      const known = machineDefault(ten, device, property)?.value;
      if (known === undefined || given.get(device)?.[property] !== undefined) continue;
      looked++;
      const bit = bits[property];
      const isOn = bit !== undefined && (((features.get(device) ?? 0n) >> bit) & 1n) === 1n;
      // `page-per-vq` is shown where it is on.
      const own = bit !== undefined ? (isOn ? "on" : "off") : (shown.get(device)?.[property] ?? "off");
      expect(own, `${device} ${property}`).toBe(known);
    }
    expect(looked).toBe(20);
  });
});

const compare = (a: readonly number[], b: readonly number[]): number =>
  a.map((n, i) => n - (b[i] as number)).find((n) => n !== 0) ?? 0;
