import { isMigrationError, type MigrationError } from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import { describe, expect, it } from "vitest";
import { isClean } from "../src/evidence.ts";
import type { BootParameters } from "../src/guest/boot-block.ts";
import { examinePool } from "../src/roles/examine.ts";
import { evidence, runUntil, sharedHost } from "./shared-host.ts";

const guest: BootParameters = {
  seed: 11,
  useIommu: true,
  dirtyPagesPerSecond: 20_000,
  blocksPerSecond: 0,
  maxBlocks: 0,
};

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function refusal(work: () => Promise<unknown>): Promise<MigrationError> {
  try {
    await work();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  throw new Error("was not refused");
}

/** A machine that has run for a while, stopped, and its stream. */
async function stopped(host: ReturnType<typeof sharedHost>, parameters: BootParameters, blocks = 60) {
  const source = host.machine();
  source.boot(parameters);
  source.kernel.resume();
  await runUntil(source, blocks);
  await source.kernel.quiesce();
  source.kernel.pause();
  return { source, stream: await bytesOf(source.kernel.save()) };
}

describe("the reference machine", () => {
  it.each([true, false])("goes on in another machine, evidence whole (IOMMU: %s)", async (useIommu) => {
    const parameters = { ...guest, useIommu };
    const host = sharedHost(guest.seed);
    const { source, stream } = await stopped(host, parameters);
    expect(evidence(host, source, guest.seed)).toMatchObject({ clean: true, status: { iommuEnabled: useIommu } });
    let from = source;
    // There and on, three machines in a row.
    for (let hop = 0, next = stream; hop < 3; hop++) {
      const target = host.machine();
      const report = await target.kernel.load(next);
      expect(report.notes).toEqual([]);
      expect(Buffer.compare(target.ram(), from.ram())).toBe(0);
      const before = evidence(host, target, guest.seed).status.blocksCompleted;
      target.kernel.resume();
      await runUntil(target, before + 50);
      await target.kernel.quiesce();
      target.kernel.pause();
      const { clean, status, verdicts } = evidence(host, target, guest.seed);
      expect(verdicts.blocks.intact).toBeGreaterThanOrEqual(before + 50);
      expect({ clean, errors: status.errorCount }).toEqual({ clean: true, errors: 0 });
      next = await bytesOf(target.kernel.save());
      from = target;
    }
    if (useIommu) expect(evidence(host, from, guest.seed).status.remaps).toBeGreaterThan(3);
  });

  it("saves in QEMU's order and loads in dependency order", async () => {
    const host = sharedHost(guest.seed);
    const { stream } = await stopped(host, guest, 5);
    const target = host.machine();
    const report = await target.kernel.load(stream);
    expect(report.sections.map((s) => `${s.idstr} ${s.phase}`)).toEqual([
      "ram start",
      "0000:00:08.0/vfio start",
      "ram end",
      "0000:00:08.0/vfio end",
      "iommu-intel full",
      "timer full",
      "riscv-hart full",
      "godwit-irqchip full",
      "riscv-mtimer full",
      "0000:00:02.0/virtio-blk full",
      "0000:00:03.0/virtio-net full",
      "0000:00:04.0/virtio-rng full",
      "0000:00:05.0/virtio-balloon full",
      "0000:00:06.0/virtio-console full",
      "0000:00:07.0/virtio-scsi full",
      "0000:00:07.0/0:0:0/scsi-disk full",
      "0000:00:08.0/vfio full",
    ]);
    const place = (key: string) => report.loadOrder.indexOf(key);
    expect(place("iommu-intel/0")).toBeLessThan(place("0000:00:02.0/virtio-blk/0"));
    expect(place("iommu-intel/0")).toBeLessThan(place("0000:00:03.0/virtio-net/0"));
  });

  it("refuses the wrong order by what it sees, and only where the guest uses the IOMMU", async () => {
    const host = sharedHost(guest.seed);
    const { stream } = await stopped(host, guest, 20);
    const wrong = host.machine({ iommuLast: true });
    const untouched = wrong.kernel.snapshot();
    const error = await refusal(() => wrong.kernel.load(stream));
    expect(["TRANSLATION_FAULT", "MEMORY_UNMAPPED", "VIRTQUEUE_INDEX"]).toContain(error.code);
    expect(error.location.section).toBe("0000:00:02.0/virtio-blk/0");
    expect(error.location.path).toMatch(/^vqs\[0\]/);
    expect(Buffer.compare(wrong.kernel.snapshot(), untouched)).toBe(0);
    // The very same bytes, in dependency order.
    const right = host.machine();
    await right.kernel.load(stream);
    right.kernel.resume();
    await runUntil(right, 40);
    right.kernel.pause();

    const plain = sharedHost(guest.seed);
    const { stream: without } = await stopped(plain, { ...guest, useIommu: false }, 20);
    const wrongToo = plain.machine({ iommuLast: true });
    const report = await wrongToo.kernel.load(without);
    expect(report.loadOrder.indexOf("iommu-intel/0")).toBeGreaterThan(
      report.loadOrder.indexOf("0000:00:03.0/virtio-net/0"),
    );
    wrongToo.kernel.resume();
    await runUntil(wrongToo, 40);
    await wrongToo.kernel.quiesce();
    wrongToo.kernel.pause();
    expect(evidence(plain, wrongToo, guest.seed).clean).toBe(true);
  });

  it("would notice a page that did not come: the canary", async () => {
    const host = sharedHost(guest.seed);
    const { source, stream } = await stopped(host, guest, 20);
    const target = host.machine();
    await target.kernel.load(stream);
    expect(isClean(examinePool(target.ram()))).toBe(true);
    const { poolOffset, poolPages, poolVisits } = evidence(host, source, guest.seed).status;
    // A page that was visited, as it was one visit before: of the first pass, not yet written.
    const page = (poolVisits - 1) % poolPages;
    target.ram().fill(0, poolOffset + page * 4096, poolOffset + (page + 1) * 4096);
    expect(examinePool(target.ram())).toMatchObject({ missing: [page], torn: [], repeated: [] });
  });

  it("writes a stream whose own description finds every section", async () => {
    const host = sharedHost(guest.seed);
    const { stream } = await stopped(host, guest, 5);
    const reader = new StreamReader({ open: () => undefined, footerScan: true });
    const events = [...reader.push(stream), ...reader.end()];
    const described = events.flatMap((event) => (event.type === "vmdesc" ? event.vmdesc.devices : []));
    const full = events.flatMap((event) =>
      event.type === "section" && event.phase === "full" ? [event.head.idstr] : [],
    );
    expect(described.map(({ name }) => name)).toEqual(full);
  });
});
