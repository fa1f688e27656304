import { isMigrationError, type MigrationError } from "@godwit/core";
import { describe, expect, it } from "vitest";
import { runUntil, sharedHost } from "./shared-host.ts";

const memoryBytes = 1 << 20;

/** The element that a stream cut here lacks. */
function lacking(end: () => void): MigrationError | undefined {
  try {
    end();
  } catch (error) {
    if (isMigrationError(error)) return error;
    throw error;
  }
  return undefined;
}

describe("the reference machine's own stream", () => {
  it("cut at every byte: section, field path and offset of what is missing, and no device is given anything", async () => {
    const host = sharedHost(5);
    const source = host.machine({ memoryBytes });
    source.boot({ seed: 5, useIommu: true, dirtyPagesPerSecond: 0, blocksPerSecond: 0, maxBlocks: 0 });
    source.kernel.resume();
    await runUntil(source, 8);
    await source.kernel.quiesce();
    source.kernel.pause();
    const chunks: Uint8Array[] = [];
    for await (const chunk of source.kernel.save()) chunks.push(chunk);
    const stream = new Uint8Array(Buffer.concat(chunks));

    const target = host.machine({ memoryBytes });
    const untouched = target.kernel.snapshot();
    const attempt = target.kernel.incoming();
    const whole: number[] = [];
    const sections = new Set<string>();
    const paths = new Set<string>();
    for (let cut = 0; cut < stream.length; cut++) {
      const error = lacking(() => attempt.fork().end());
      if (error === undefined) whole.push(cut);
      else {
        const { section, path, offset } = error.location;
        const fine =
          error.code === "STREAM_TRUNCATED" &&
          section !== undefined &&
          path !== undefined &&
          offset !== undefined &&
          offset <= cut &&
          // Nothing longer than a page stands in one piece, but buffers that a device keeps as they are, and the
          // description at the end.
          (cut - offset <= 4096 || section === "vmdesc" || /(records\[\d+\]\.data|element\.blob)$/.test(path));
        if (!fine) throw new Error(`cut at ${cut}: ${error.message}`);
        sections.add(section);
        paths.add(`${section} ${path}`);
      }
      attempt.push(stream.subarray(cut, cut + 1));
    }
    // Exactly behind EOF the stream is whole; what is missing is only its own description.
    const vmdescBytes = new DataView(stream.buffer).getUint32((whole[0] as number) + 1);
    expect(whole).toEqual([stream.length - 5 - vmdescBytes]);
    expect([...sections].toSorted()).toEqual([
      "0000:00:02.0/virtio-blk/0",
      "0000:00:03.0/virtio-net/0",
      "0000:00:04.0/virtio-rng/0",
      "0000:00:05.0/virtio-balloon/0",
      "0000:00:06.0/virtio-console/0",
      "0000:00:07.0/0:0:0/scsi-disk/0",
      "0000:00:07.0/virtio-scsi/0",
      "0000:00:08.0/vfio/0",
      "configuration",
      "godwit-irqchip/0",
      "header",
      "iommu-intel/0",
      "ram/0",
      "riscv-hart/0",
      "riscv-mtimer/0",
      "stream",
      "timer/0",
      "vmdesc",
    ]);
    expect(paths).toContain("iommu-intel/0 csr");
    expect(paths).toContain("riscv-hart/0 mepc");
    expect(paths.size).toBeGreaterThan(4000);
    attempt.discard();
    expect(Buffer.compare(target.kernel.snapshot(), untouched)).toBe(0);

    const eof = host.machine({ memoryBytes });
    const report = await eof.kernel.load(stream.subarray(0, whole[0]));
    expect(report.notes.map(({ code }) => code)).toEqual(["no-vmdesc"]);
    expect(Buffer.compare(eof.ram(), source.ram())).toBe(0);
    // Each of some hundreds of thousands of cuts is an attempt of its own.
  }, 240_000);
});
