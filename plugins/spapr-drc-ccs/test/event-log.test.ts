// Events that this package makes, against those that QEMU made of the same hot-plug.
import { decodeState, type SectionSample } from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { drcIndex, type HotplugEvent, hotplugLog, spaprFamily } from "../src/index.ts";
import { fullSections } from "./support/sections.ts";

/** The tail of an event, which says what happened to which connectors. */
const about = (action: HotplugEvent["action"], target: HotplugEvent["target"]) => [
  ...hotplugLog({ action, target, logId: 0, time: 0n }).extended_log.subarray(88),
];
const head = [0x48, 0x50, 0, 20, 1, 0, 0, 0];

describe("what an event is about", () => {
  // Seen in streams of QEMU 7.2, after device_add and device_del of such devices; pmem by PAPR's table.
  it.each([
    ["add", { index: drcIndex("phb", 1) }, [4, 1, 2, 0, 0x20, 0, 0, 1, 0, 0, 0, 0]],
    ["remove", { index: drcIndex("phb", 1) }, [4, 2, 2, 0, 0x20, 0, 0, 1, 0, 0, 0, 0]],
    ["remove", { index: drcIndex("pci", 0x10) }, [5, 2, 2, 0, 0x40, 0, 0, 0x10, 0, 0, 0, 0]],
    ["add", { count: 2, type: "lmb" }, [2, 1, 3, 0, 0, 0, 0, 2, 0, 0, 0, 0]],
    ["remove", { index: drcIndex("lmb", 4), count: 1 }, [2, 2, 4, 0, 0, 0, 0, 1, 0x80, 0, 0, 4]],
    ["add", { index: drcIndex("pmem", 3) }, [6, 1, 2, 0, 0x90, 0, 0, 3, 0, 0, 0, 0]],
  ] as const)("%s %j", (action, target, bytes) => {
    expect(about(action, target)).toEqual([...head, ...bytes]);
  });

  it("has the time of the guest's clock, in decimal digits", () => {
    const { extended_log } = hotplugLog({
      action: "add",
      target: { index: drcIndex("cpu", 1) },
      logId: 0x0102_0304,
      time: BigInt(Date.UTC(2031, 11, 9, 23, 58, 7)) * 1_000_000n,
    });
    expect([...extended_log.subarray(24, 32)]).toEqual([0x20, 0x31, 0x12, 0x09, 0x23, 0x58, 0x07, 0]);
    expect([...extended_log.subarray(56, 60)]).toEqual([4, 3, 2, 1]);
  });
});

describe.skipIf(!haveStreams())("an event of QEMU's", () => {
  const targets: readonly HotplugEvent["target"][] = [
    { index: drcIndex("pci", 0x10) },
    { index: drcIndex("cpu", 1) },
    { count: 1, type: "lmb" },
  ];
  const digits = (bytes: Uint8Array) => Array.from(bytes, (two) => (two >> 4) * 10 + (two & 15));

  it.each([
    ["pseries-hotplug-net-7.2.stream", 1],
    ["pseries-hotplug-net-cpu-dimm-7.2.stream", 3],
  ])("in %s has the bytes of ours, of the same time", (raw, count) => {
    const sample = fullSections(raw).find(({ idstr }) => idstr === "spapr") as SectionSample;
    const { pending_events } = decodeState(spaprFamily.build(spaprFamily.infer(sample)), sample.bytes).pendingEvents;
    expect(pending_events).toHaveLength(count);
    pending_events.forEach((event, logId) => {
      const [century = 0, year = 0, month = 0, day = 0, hours = 0, minutes = 0, seconds = 0] = digits(
        event.extended_log.subarray(24, 31),
      );
      const time = BigInt(Date.UTC(century * 100 + year, month - 1, day, hours, minutes, seconds)) * 1_000_000n;
      expect(event).toEqual(hotplugLog({ action: "add", target: targets[logId] as (typeof targets)[0], logId, time }));
    });
  });
});
