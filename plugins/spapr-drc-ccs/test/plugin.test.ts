// The plugin in a kernel: what it registers, in which order, and that it is all or nothing.
import { readFileSync } from "node:fs";
import { createKernel, virtualClock } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { drc, spaprDrc } from "../src/index.ts";
import { cpu, lmb, machine, pci } from "./support/machine.ts";

const options = {
  memory: { read: () => new Uint8Array(0), write() {} },
  rtc: { now: () => 0n },
};

describe("the plugin", () => {
  it("bears the package's name and version", () => {
    const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    expect(spaprDrc({ ...options, connectors: [] })).toMatchObject({ name, version, contract: 2 });
  });

  it("registers connectors, their lights, and behind them the machine's section", () => {
    const { kernel, drc: offer } = machine({ ccs: true });
    const sections = kernel.manifest().sections.filter(({ idstr }) => idstr.startsWith("spapr"));
    expect(sections.map(({ idstr, instance, optional }) => [idstr, instance, optional])).toEqual([
      ["spapr_drc", cpu, true],
      ["spapr_drc", lmb, true],
      ["spapr_drc", pci, true],
      ["spapr_drc/physical", pci, true],
      ["spapr", 0, false],
    ]);
    expect(sections.at(-1)?.subsections).toContain("spaprccslist");
    expect(offer.registration.idstr).toBe("spapr");
    const merged = machine()
      .kernel.manifest()
      .sections.find(({ idstr }) => idstr === "spapr");
    expect(merged?.subsections).not.toContain("spaprccslist");
  });

  it("leaves nothing behind where one of its sections is taken", () => {
    const kernel = createKernel({
      machineType: "t",
      clock: virtualClock(() => 0n),
      machine: { pause() {}, resume() {}, reset() {} },
    });
    const state = { state: 0, unplugRequested: { unplug_requested: false } };
    kernel.device(drc, { instance: lmb, save: () => state, load() {} });
    const before = kernel.manifest().sections;
    expect(() => kernel.use(spaprDrc({ ...options, connectors: [cpu, pci, lmb] }))).toThrow("SECTION_DUPLICATE");
    expect(kernel.manifest().sections).toEqual(before);
    expect(kernel.manifest().plugins).toEqual([]);
  });
});
