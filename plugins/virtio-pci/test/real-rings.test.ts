// The rings of devices that Linux drove when QEMU saved it: behind the IOMMU, and beside it (the balloon).
import { decodeState } from "@godwit/core";
import { StreamReader } from "@godwit/core/stream";
import { type Translator, translator, vtd } from "@godwit/iommu-vtd";
import { type RamSection, ramWalker } from "@godwit/ram-dirty-tracker";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { checkQueues, type DmaReader, readRing, ringOf, ringRules } from "@godwit/virtio-core";
import { beforeAll, describe, expect, it } from "vitest";
import { virtioPciFamily } from "../src/index.ts";
import { balloon, rng, scsi } from "./support/classes.ts";
import { realSection } from "./support/real-sections.ts";

const ramBytes = 96 * 1024 * 1024;

/** The guest's RAM, which lies at guest-physical 0. */
function guestRam(raw: string): DmaReader {
  const ram = new Uint8Array(ramBytes);
  const walker = ramWalker({
    page: ({ idstr }, offset, bytes) => {
      if (idstr === "pc.ram") ram.set(bytes, offset);
    },
  });
  const reader = new StreamReader({
    open: ({ idstr }, phase, previous) =>
      idstr === "ram" && phase !== "full" ? walker.decoder(phase, previous as RamSection | undefined) : undefined,
  });
  reader.push(readStream(raw));
  reader.end();
  return { read: (gpa, length) => ram.subarray(gpa, gpa + length) };
}

/** What a device sees: its addresses, page by page through the guest's own tables. */
function behind({ translate }: Translator, ram: DmaReader, bdf: string): DmaReader {
  return {
    read(address, length) {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { gpa, pageBytes } = translate(bdf, address + done, false);
        const size = Math.min(length - done, pageBytes - ((address + done) % pageBytes));
        bytes.set(ram.read(gpa, size), done);
        done += size;
      }
      return bytes;
    },
  };
}

function stateOf(raw: string, idstr: string, kind: typeof rng) {
  const { open, body, version } = realSection(raw, idstr);
  const family = virtioPciFamily(kind);
  const description = family.build(family.infer({ idstr, instance: 0, version, bytes: open }));
  return decodeState(description, body, { version });
}

describe.skipIf(!haveStreams()).each(["q35-vtd-virtio-7.2.stream", "q35-vtd-virtio-10.0.stream"])("%s", (raw) => {
  let ram: DmaReader;
  let tables: Translator;
  beforeAll(() => {
    ram = guestRam(raw);
    tables = translator(decodeState(vtd, realSection(raw, "iommu-intel").body), ram);
  });

  it.each([
    ["0000:00:03.0/virtio-rng", rng, "00:03.0"],
    ["0000:00:06.0/virtio-scsi", scsi, "00:06.0"],
    ["0000:00:04.0/virtio-balloon", balloon as unknown as typeof rng, undefined],
  ] as const)("%s: driver and device agree", (idstr, kind, bdf) => {
    const state = stateOf(raw, idstr, kind);
    const memory = bdf === undefined ? ram : behind(tables, ram, bdf);
    expect(checkQueues(state, memory)).toEqual([]);
    const rules = ringRules(state);
    expect(rules).toEqual({ littleEndian: true, eventIdx: true });
    let served = 0;
    state.vqs.forEach(({ num, last_avail_idx: last }, index) => {
      const ring = ringOf(state, index);
      if (ring === undefined) throw new Error(`queue ${index} is not set up`);
      const { availIdx, usedIdx, availRing, usedRing } = readRing(memory, ring, rules);
      expect((availIdx - last) & 0xffff).toBeLessThanOrEqual(num);
      expect((last - usedIdx) & 0xffff).toBeLessThanOrEqual(num);
      expect(availRing.every((head) => head < num)).toBe(true);
      expect(usedRing.every(({ id }) => id < num)).toBe(true);
      served += usedIdx;
    });
    expect(served).toBeGreaterThan(0);
  });

  it("and where they do not, it shows", () => {
    const state = stateOf(raw, "0000:00:03.0/virtio-rng", rng);
    const memory = behind(tables, ram, "00:03.0");
    const [queue] = state.vqs;
    const changed = (last: number) => ({ ...state, vqs: [{ ...queue, last_avail_idx: last }] }) as typeof state;
    const last = queue?.last_avail_idx ?? 0;
    expect(checkQueues(changed(last - 9), memory)).toMatchObject([{ index: 0 }]);
    expect(() => checkQueues(changed(last + 9), memory)).not.toThrow();
    expect(checkQueues(changed(last + 9), memory)).toMatchObject([{ index: 0 }]);
    // Of another device's domain.
    expect(() => checkQueues(state, behind(tables, ram, "00:1e.0"))).toThrow(/TRANSLATION_FAULT.*field vqs\[0\]\.desc/);
  });
});
