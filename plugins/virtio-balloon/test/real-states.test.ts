// Sections that QEMU wrote, loaded into devices of ours with the guest's memory: what is saved again is the same, and the
// guest's driver is served.
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { type CutStream, cutStream, type QemuMachine, qemuMachine } from "@godwit/virtio-testkit";
import { beforeAll, describe, expect, it } from "vitest";
import type { VirtioBalloonModel } from "../src/model.ts";
import { type VirtioBalloonPciOffer, virtioBalloonPci } from "../src/pci.ts";
import type { MemoryStatistics } from "../src/statistics.ts";
import { ledger } from "./support/balloon-driver.ts";

const i440fx = { slot: "00:05.0", pages: 0, dialect: "7.2", msixVectors: 0 } as const;
// 96 MiB less 88: 2,048 pages. The balloon has no part in these machines' IOMMU (no ACCESS_PLATFORM).
const q35 = { slot: "00:04.0", pages: 2048, mode: "modern" } as const;
const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", ...q35, dialect: "7.2", msixVectors: 0 },
  { raw: "q35-vtd-virtio-10.0.stream", ...q35, msixVectors: 2 },
  { raw: "i440fx-transitional-virtio-7.2.stream", ...i440fx, mode: "transitional" },
  { raw: "i440fx-legacy-virtio-7.2.stream", ...i440fx, mode: "legacy" },
] as const;

describe.skipIf(!haveStreams()).each(cases)("$raw", ({ raw, pages, ...options }) => {
  let cut: CutStream;
  let machine: QemuMachine<VirtioBalloonPciOffer>;
  let balloon: VirtioBalloonModel;
  const told: MemoryStatistics[] = [];
  const { log, discard } = ledger();

  beforeAll(async () => {
    cut = cutStream(readStream(raw), `0000:${options.slot}/virtio-balloon`);
    machine = await qemuMachine(
      cut,
      options.slot,
      (wiring) =>
        virtioBalloonPci({
          ...wiring,
          accessPlatform: false,
          ...options,
          discard,
          onStatistics: (one) => told.push(one),
        }),
      { bypass: true },
    );
    balloon = machine.offer.balloon;
  });

  it("saves the same section again", async () => {
    expect(Buffer.compare(await machine.section(), cut.section.bytes)).toBe(0);
  });

  it("has the guest's last statistics, and goes on from its balloon", () => {
    expect(told).toEqual([]);
    machine.kernel.resume();
    expect([balloon.target, balloon.actual, log, machine.offer.device.failure]).toEqual([pages, pages, [], undefined]);
    expect(machine.offer.device.queues.map(({ inuse }) => inuse)).toEqual([0, 0, 1]);
    // What Linux wrote when it began: all of its memory, and most of it free.
    expect(told).toHaveLength(1);
    const { totalMemory = 0n, freeMemory = 0n, availableMemory = 0n } = told[0] as MemoryStatistics;
    expect(totalMemory).toBeGreaterThan(32n * 1024n * 1024n);
    expect(totalMemory).toBeLessThan(96n * 1024n * 1024n);
    expect([freeMemory < totalMemory, availableMemory < totalMemory]).toEqual([true, true]);
    expect(balloon.requestStatistics()).toBe(true);
    expect(machine.offer.device.queues[2]?.inuse).toBe(0);
  });
});
