// The tables of a Linux guest that QEMU saved with its IOMMU on: rings are found through them.
import { decodeState } from "@godwit/core";
import { haveStreams } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { translator, vtd } from "../src/index.ts";
import { realStream } from "./real.ts";

const behind: [string, number][] = [
  ["0000:00:01.0/virtio-net", 3],
  ["0000:00:02.0/virtio-blk", 1],
  ["0000:00:03.0/virtio-rng", 1],
  ["0000:00:05.0/virtio-console", 4],
  ["0000:00:06.0/virtio-scsi", 3],
];

describe.skipIf(!haveStreams()).each(["7.2", "10.0"] as const)("a guest of QEMU %s", (release) => {
  it.each(behind)("has the rings of %s behind its tables", (idstr, leastQueues) => {
    const { section, ram, rings } = realStream(release);
    const { translate } = translator(decodeState(vtd, section), ram);
    const bdf = idstr.slice(0, "0000:00:00.0".length);
    const used = rings(idstr);
    expect(used.length).toBeGreaterThanOrEqual(leastQueues);
    let requests = 0;
    for (const ring of used) {
      const avail = translate(bdf, ring.avail, false);
      const done = translate(bdf, ring.used, true);
      expect(avail).toMatchObject({ pageBytes: 4096, read: true });
      expect(avail.gpa).not.toBe(ring.avail);
      const [availIndex, usedIndex] = [ram.get32(avail.gpa) >>> 16, ram.get32(done.gpa) >>> 16];
      expect((availIndex - usedIndex) & 0xffff).toBeLessThanOrEqual(1024);
      requests += usedIndex;
    }
    expect(requests).toBeGreaterThan(0);
  });

  it("keeps the devices apart", () => {
    const { section, ram, rings } = realStream(release);
    const { translate } = translator(decodeState(vtd, section), ram);
    const [ring] = rings("0000:00:02.0/virtio-blk");
    const iova = ring?.avail as number;
    const domain = (bdf: string) => translate(bdf, iova, false).domainId;
    expect(domain("00:02.0")).toBeTypeOf("number");
    expect(() => translate("00:1e.0", iova, false)).toThrow(/context entry at 0x[0-9a-f]+ is not present/);
    expect(() => translate("02:00.0", iova, false)).toThrow(/root entry of bus 2 at 0x[0-9a-f]+ is not present/);
  });
});
