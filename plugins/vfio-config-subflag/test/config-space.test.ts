// Configuration space as a guest sees it: what it may write, what it reads, and what the device writes beside it.
import { modelDriver, vfioContainer, vfioPci } from "@godwit/vfio-config-subflag";
import { describe, expect, it } from "vitest";
import { at, testConfig } from "./support/config.ts";
import { testMachine } from "./support/machine.ts";
import { errorOf } from "./support/walk.ts";

const configOf = (machine: ReturnType<typeof testMachine>) => {
  const own = machine.devices[0]?.function;
  if (own === undefined) throw new Error("no function");
  return own;
};

describe("a guest's writes", () => {
  it("change what may be changed", () => {
    const own = configOf(testMachine([{}]));
    own.configWrite(0x00, 4, 0xffff_ffff);
    expect(own.configRead(0x00, 4)).toBe(0x0b0d_1b36);
    own.configWrite(0x04, 2, 0xffff);
    expect(own.configRead(0x04, 2)).toBe(0x0547);
    own.config.set(0x06, Uint8Array.of(0x18, 0xf9));
    own.configWrite(0x06, 2, 0x2000);
    expect(own.configRead(0x06, 2)).toBe(0xd918);
    own.configWrite(at.bar0, 4, 0xffff_ffff);
    expect(own.configRead(at.bar0, 4)).toBe(0xfff0_0000);
    own.configWrite(at.msix, 4, 0xffff_ffff);
    expect(own.configRead(at.msix, 4)).toBe(0xc003_5011);
    expect([own.configRead(0xfe, 4), own.configRead(256, 1)]).toEqual([0xffff_0000, 0xff]);
    own.configWrite(0xfe, 4, 0);
    own.config.reset();
    expect(own.configRead(0x04, 2)).toBe(0x0006);
  });

  it("reach both halves of a 64-bit BAR", () => {
    const { config, ...rest } = testConfig();
    config.set([0x0c], 0x18);
    const own = configOf(testMachine([{ config: { ...rest, config, barBytes: { 0: 4096, 2: 2 ** 33 } } }]));
    own.configWrite(0x18, 4, 0xffff_ffff);
    own.configWrite(0x1c, 4, 0xffff_ffff);
    expect([own.configRead(0x18, 4), own.configRead(0x1c, 4)]).toEqual([0x0000_000c, 0xffff_fffe]);
  });
});

it.each([
  ["a size that is no power of two", { barBytes: { 0: 3000 } }],
  ["a BAR of 8 bytes", { barBytes: { 0: 8 } }],
  ["a seventh BAR", { barBytes: { 6: 4096 } }],
  ["a BAR that fills its space", { barBytes: { 0: 2 ** 32 } }],
  ["a space of another length", { config: new Uint8Array(257) }],
])("%s cannot be", (_, wrong) => {
  const error = errorOf(() => testMachine([{ config: { ...testConfig(), ...wrong } }]));
  expect([error.code, error.location.side]).toEqual(["DEFINITION_INVALID", "define"]);
});

it.each([
  ["a capability list that runs in a circle", [[at.vendor + 1, at.msix]]],
  ["one that leads into the header", [[at.vendor + 1, 0x10]]],
])("%s is told", (_, changes) => {
  const { config, ...rest } = testConfig();
  for (const [offset, byte] of changes as [number, number][]) config[offset] = byte;
  expect(errorOf(() => testMachine([{ config: { ...rest, config } }])).code).toBe("PARAMETER_WRONG");
});

it.each([
  ["no path", { path: "" }],
  ["a chunk of nothing", { chunkBytes: 0 }],
  ["half a byte", { chunkBytes: 0.5 }],
])("%s is refused by the plugin", (_, wrong) => {
  const options = {
    path: "0000:00:05.0",
    container: vfioContainer(),
    config: testConfig(),
    driver: modelDriver({ memoryBytes: 1024, configOrder: "not-needed" }),
    interrupts: { attach() {}, detach() {}, signal() {} },
    after: [],
  };
  expect(errorOf(() => vfioPci({ ...options, ...wrong })).code).toBe("DEFINITION_INVALID");
});
