// A live migration in each mode: what travels when, and the device is the same on the other side.
import { describe, expect, it } from "vitest";
import { testConfig } from "./support/config.ts";
import { boot, contents, modes, send, testMachine } from "./support/machine.ts";
import { outline, vfioSections } from "./support/walk.ts";

describe.each(modes)("$name", ({ dialect, configOrder }) => {
  const options = { dialect, configOrder };

  it("moves a device that works while it is sent", async () => {
    const [source, target] = [testMachine([options]), testMachine([options])];
    boot(source);
    const driver = () => source.devices[0]?.function.driver;
    driver()?.work(50);
    const { bytes, phases } = await send(source, { rounds: 4, between: (round) => driver()?.work(10 + round) });
    expect(phases).toEqual(["start", "part", "part", "part", "part", "end", "full"]);
    await target.kernel.load(bytes);
    expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
    expect(target.devices[0]?.function.driver.jobs).toBe(96n);
    target.kernel.resume();
    expect(target.devices[0]?.function.driver.work(1)).toBe(1);
    expect(source.devices[0]?.function.driver.work(1)).toBe(0);
  });

  it("goes through save, snapshot and restore, and runs on as it ran", async () => {
    const [source, target] = [testMachine([options]), testMachine([options])];
    boot(source);
    source.devices[0]?.function.driver.work(20);
    const chunks: Uint8Array[] = [];
    for await (const chunk of source.kernel.save()) chunks.push(chunk);
    await target.kernel.load(new Uint8Array(Buffer.concat(chunks)));
    expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
    const slot = source.kernel.snapshot();
    const before = source.devices.map(contents);
    expect(source.devices[0]?.function.driver.work(5)).toBe(5);
    expect(source.devices.map(contents)).not.toEqual(before);
    source.kernel.restore(slot);
    expect(source.devices.map(contents)).toEqual(before);
    expect(source.devices[0]?.function.driver.work(5)).toBe(5);
  });

  it("moves a device without PRE_COPY, whose data all comes at the end", async () => {
    const features = { p2p: false, preCopy: false };
    const [source, target] = [testMachine([{ ...options, features }]), testMachine([{ ...options, features }])];
    boot(source);
    source.devices[0]?.function.driver.work(9);
    const { bytes, phases } = await send(source);
    expect(phases).toEqual(["start", "end", "full"]);
    await target.kernel.load(bytes);
    expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
  });

  it("moves a function without MSI-X and one of 4096 bytes", async () => {
    for (const config of [testConfig({ vectors: 0 }), testConfig({ bytes: 4096, vectors: 33 })]) {
      const [source, target] = [testMachine([{ ...options, config }]), testMachine([{ ...options, config }])];
      source.kernel.resume();
      source.devices[0]?.function.driver.work(3);
      const { bytes } = await send(source);
      await target.kernel.load(bytes);
      expect(target.devices.map(contents)).toEqual(source.devices.map(contents));
      for (const section of vfioSections(bytes).flatMap(({ records }) => records)) {
        if (section.marker !== "DEV_CONFIG_STATE" || section.device === undefined) continue;
        expect(section.parameters).toEqual(source.devices[0]?.function.parameters);
      }
    }
  });
});

describe("what travels when", () => {
  const outlines = async (index: number, change: (round: number) => void = () => {}) => {
    const { dialect, configOrder } = modes[index] as (typeof modes)[number];
    const source = testMachine([{ dialect, configOrder }]);
    boot(source);
    const { bytes } = await send(source, {
      rounds: 3,
      between(round) {
        source.devices[0]?.function.driver.work(1);
        change(round);
      },
    });
    return vfioSections(bytes).map(outline);
  };

  it("merged: config in the record alone", async () => {
    expect(await outlines(0)).toEqual([
      "start: SETUP END_OF",
      "part: DATA END_OF",
      "part: DATA END_OF",
      "part: DATA END_OF",
      "end: DATA END_OF",
      "full: CONFIG END_OF",
    ]);
  });

  it("needed: config ahead of the data, without bit 1, and the record enables interrupts alone", async () => {
    expect(await outlines(1)).toEqual([
      "start: SETUP END_OF",
      "part: CONFIG(1) DATA END_OF",
      "part: DATA END_OF",
      "part: DATA END_OF",
      "end: CONFIG(1) DATA END_OF",
      "full: CONFIG(2) END_OF",
    ]);
  });

  it("not needed: config once, in the record", async () => {
    expect(await outlines(2)).toEqual([
      "start: SETUP END_OF",
      "part: DATA END_OF",
      "part: DATA END_OF",
      "part: DATA END_OF",
      "end: DATA END_OF",
      "full: CONFIG(3) END_OF",
    ]);
  });

  it("filter: config with every chunk", async () => {
    expect(await outlines(3)).toEqual([
      "start: SETUP END_OF",
      "part: CONFIG(1) DATA END_OF",
      "part: CONFIG(1) DATA END_OF",
      "part: CONFIG(1) DATA END_OF",
      "end: CONFIG(1) DATA END_OF",
      "full: CONFIG(2) END_OF",
    ]);
  });

  it("needed: config again in the round after it changed", async () => {
    const own = (round: number) => (round === 1 ? 0xfd00_0000 : undefined);
    const { dialect, configOrder } = modes[1] as (typeof modes)[number];
    const source = testMachine([{ dialect, configOrder }]);
    boot(source);
    const between = (round: number): void => {
      source.devices[0]?.function.driver.work(round < 2 ? 1 : 0);
      const bar = own(round);
      if (bar !== undefined) source.devices[0]?.function.configWrite(0x10, 4, bar);
      if (round === 2) source.devices[0]?.function.configWrite(0x3c, 1, 11);
    };
    const { bytes } = await send(source, { rounds: 3, between });
    expect(vfioSections(bytes).map(outline).slice(1, 4)).toEqual([
      "part: CONFIG(1) DATA END_OF",
      "part: CONFIG(1) DATA END_OF",
      // Nothing but the configuration is left to send.
      "part: CONFIG(1) END_OF",
    ]);
  });
});
