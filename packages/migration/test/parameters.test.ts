// QEMU's parameters and capabilities: what is taken, what is refused, and what is said about it.
import { readFileSync } from "node:fs";
import {
  type Capabilities,
  type Capability,
  capabilityNames,
  checkedCapabilities,
  checkedParameters,
  defaultParameters,
  formatRange,
  type MigrationParameters,
  parameterTable,
} from "@godwit/migration";
import { describe, expect, it } from "vitest";
import { capabilityRules } from "../src/capabilities.ts";
import { Rig } from "./support/rig.ts";

const all = { ram: true, throttle: true, sendOver: true };

function refusal(act: () => unknown): { code: string; detail: string; path: string | undefined } {
  try {
    act();
  } catch (error) {
    const { code, detail, location } = error as { code: string; detail: string; location: { path?: string } };
    return { code, detail, path: location.path };
  }
  throw new Error("it was taken");
}

describe("parameters", () => {
  it.each(Object.entries(parameterTable))("%s is taken within its bounds and refused beyond them", (name, spec) => {
    const set = (value: unknown) => () => checkedParameters({ [name]: value } as Partial<MigrationParameters>);
    const good =
      spec.kind === "flag"
        ? [true, false]
        : spec.kind === "choice"
          ? spec.choices
          : [spec.default, spec.low, spec.high];
    const fits = good.filter((value) => name !== "max-cpu-throttle" || Number(value) >= 20);
    for (const value of fits) expect(set(value)()).toEqual({ ...defaultParameters, ...widen(name, value) });
    const bad: unknown[] = [null, "1000", Number.NaN, 1.5];
    if (spec.kind === "integer") bad.push(spec.low - 1, spec.high + 1, true);
    if (spec.kind === "choice") bad.push("lz4", 0);
    if (spec.kind === "flag") bad.push(0, 1);
    for (const value of bad) {
      const found = refusal(set(value));
      expect(found).toMatchObject({ code: "OPTION_INVALID", path: expect.stringContaining(name) });
      expect(found.detail).toContain(formatRange(spec));
    }
  });

  it("take nothing over where one of them is wrong, and name all that are", () => {
    const rig = new Rig();
    const before = rig.outgoing.parameters;
    const { detail, path } = refusal(() =>
      rig.outgoing.setParameters({ "downtime-limit": 77, "multifd-channels": 0, "max-bandwidth": -1 }),
    );
    expect(path).toBe("max-bandwidth, multifd-channels");
    expect(detail).toContain("parameter multifd-channels must be a whole number from 1 to 255, not 0");
    expect(rig.outgoing.parameters).toBe(before);
  });

  it("of one another are kept: the throttle's most is not below where it begins", () => {
    expect(refusal(() => checkedParameters({ "max-cpu-throttle": 19 })).path).toBe("max-cpu-throttle");
    const parameters = { "cpu-throttle-initial": 5, "max-cpu-throttle": 6 };
    expect(checkedParameters(parameters)).toMatchObject(parameters);
    expect(refusal(() => checkedParameters({ "cpu-throttle-initial": 7 }, checkedParameters(parameters))).path).toBe(
      "max-cpu-throttle",
    );
  });

  it("of XBZRLE's cache are powers of two", () => {
    expect(refusal(() => checkedParameters({ "xbzrle-cache-size": 5000 })).detail).toContain("a power of two");
    expect(checkedParameters({ "xbzrle-cache-size": 1 << 20 })["xbzrle-cache-size"]).toBe(1 << 20);
  });

  it("unknown ones are refused with the list of those that are", () => {
    const found = refusal(() => checkedParameters({ downtimeLimitMs: 3 } as Partial<MigrationParameters>));
    expect(found).toMatchObject({ code: "OPTION_INVALID", path: "downtimeLimitMs" });
    expect(found.detail).toContain("downtime-limit");
  });

  it("stand in the README as they are in the table", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const rows = Array.from(
      readme.matchAll(/^\| `([a-z-]+)` +\| ([^|]*?) +\| ([^|]*?) +\|/gm),
      ([, ...cells]) => cells,
    );
    const parameters = rows.filter(([name]) => Object.hasOwn(parameterTable, name ?? ""));
    expect(parameters).toEqual(
      Object.entries(parameterTable).map(([name, spec]) => [name, String(spec.default), formatRange(spec)]),
    );
    for (const name of capabilityNames) expect(rows.map(([cell]) => cell)).toContain(name);
  });
});

function widen(name: string, value: unknown): Record<string, unknown> {
  return { [name]: value };
}

describe("parameters that change while the migration runs", () => {
  it("a longer downtime lets a guest go that would not have converged", async () => {
    const rig = new Rig({ source: { pages: 64, dirtyPagesPerTick: 120 }, outgoing: { maxRounds: 1000 } });
    let rounds = 0;
    rig.outgoing.events.on("round", () => {
      rounds++;
      if (rounds === 40) rig.outgoing.setParameters({ "downtime-limit": 500 });
    });
    const { source } = await rig.run();
    expect(source.state.status).toBe("completed");
    expect(rounds).toBeLessThan(43);
    expect(rounds).toBeGreaterThanOrEqual(40);
    rig.expectMoved();
  });

  it("more bandwidth counts within a slice, even where the old one would have taken hours", async () => {
    const rig = new Rig({
      source: { pages: 256, dirtyPagesPerTick: 0 },
      outgoing: { parameters: { "max-bandwidth": 100, "downtime-limit": 1 } },
    });
    const startMs = rig.clock.nowMs();
    rig.outgoing.events.on("progress", () => {
      if (rig.clock.nowMs() - startMs >= 5000) rig.outgoing.setParameters({ "max-bandwidth": 0 });
    });
    const { source } = await rig.run(10);
    expect(source.state.status).toBe("completed");
    expect(rig.clock.nowMs() - startMs).toBeLessThan(6000);
    rig.expectMoved();
  });
});

describe("capabilities", () => {
  it("are off unless they are asked for", () => {
    expect(Object.values(checkedCapabilities({}, all, "source"))).toEqual(capabilityNames.map(() => false));
    expect(checkedCapabilities({ xbzrle: true, "auto-converge": false }, all, "source")).toMatchObject({
      xbzrle: true,
      "auto-converge": false,
    });
  });

  it("go together, in every combination, where no rule says that they do not; and all rules are told at once", () => {
    for (let bits = 0; bits < 1 << capabilityNames.length; bits++) {
      const given = Object.fromEntries(capabilityNames.map((name, i) => [name, (bits >> i) % 2 === 1]));
      const on = (name: string): boolean => given[name] === true;
      const expected = [
        ...(on("multifd") && on("xbzrle") ? ["multifd does not go with xbzrle"] : []),
        ...(on("multifd") && on("postcopy-ram") ? ["multifd does not go with postcopy-ram"] : []),
        ...(on("postcopy-preempt") && !on("postcopy-ram") ? ["postcopy-preempt requires postcopy-ram"] : []),
      ];
      if (expected.length === 0) {
        expect(checkedCapabilities(given, all, "source")).toEqual(given);
        continue;
      }
      const { code, detail } = refusal(() => checkedCapabilities(given, all, "source"));
      expect(code).toBe("CAPABILITY_CONFLICT");
      expect(detail.split("; ").map((text) => text.split(":")[0])).toEqual(expected);
    }
  });

  it("need of the host what they need", () => {
    const none = { ram: false, throttle: false, sendOver: false };
    const wanted: Partial<Capabilities> = { "auto-converge": true, xbzrle: true, "postcopy-ram": true };
    const { detail } = refusal(() => checkedCapabilities(wanted, none, "source"));
    expect(detail.split("; ")).toEqual([
      "auto-converge: the machine must have throttle",
      "xbzrle: the option ram must be given",
      "postcopy-ram: the option ram must be given",
    ]);
    // A destination slows nobody down, and takes deltas as they come.
    const there = refusal(() => checkedCapabilities(wanted, none, "destination")).detail;
    expect(there).toBe("postcopy-ram: the option ram must be given");
  });

  it("that are not known, or neither on nor off, are refused", () => {
    const given = { compress: true, xbzrle: 1 } as unknown as Partial<Capabilities>;
    expect(refusal(() => checkedCapabilities(given, all, "source"))).toMatchObject({
      code: "OPTION_INVALID",
      path: "compress, xbzrle",
    });
  });

  it("are checked before anything begins", () => {
    const capabilities = { "auto-converge": true } as const;
    expect(() => new Rig({ outgoing: { capabilities } })).toThrow(
      expect.objectContaining({ code: "CAPABILITY_CONFLICT" }),
    );
    expect(() => new Rig({ incoming: { capabilities: { "postcopy-preempt": true } } })).toThrow(
      expect.objectContaining({ code: "CAPABILITY_CONFLICT" }),
    );
  });

  it("have rules about names that are there", () => {
    const known = new Set<Capability>(capabilityNames);
    for (const { capability, excludes, requires } of capabilityRules) {
      for (const name of [capability, excludes, requires]) expect(name === undefined || known.has(name)).toBe(true);
    }
  });
});
