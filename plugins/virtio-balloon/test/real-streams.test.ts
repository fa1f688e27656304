// Sections "virtio-balloon" that QEMU wrote: read with parameters that are found, not given, and written back.
import { decodeRecord, encodeRecord, encodeState, toState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { realSection } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioBalloonCcwFamily } from "../src/ccw.ts";
import { virtioBalloonPciFamily } from "../src/pci.ts";

// 96 MiB less 88: 2,048 pages. The other guests were not asked for any.
const q35 = { slot: "0000:00:04.0", pages: 2048, features: 0x101_2000_0012n, modern: true };
const i440fx = { slot: "0000:00:05.0", pages: 0 };
const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", ...q35, msixVectors: 0 },
  { raw: "q35-vtd-virtio-10.0.stream", ...q35, msixVectors: 2 },
  { raw: "i440fx-transitional-virtio-7.2.stream", ...i440fx, features: 0x101_2000_0012n, modern: true, msixVectors: 0 },
  { raw: "i440fx-legacy-virtio-7.2.stream", ...i440fx, features: 0x2000_0012n, modern: false, msixVectors: 0 },
];

describe.skipIf(!haveStreams())("virtio-balloon from QEMU", () => {
  it.each(cases)("$raw comes back to the same bytes", ({ raw, slot, pages, features, modern, msixVectors }) => {
    const sample = realSection(readStream(raw), `${slot}/virtio-balloon`);
    const parameters = virtioBalloonPciFamily.infer(sample);
    expect(parameters).toMatchObject({ configBytes: 256, msixVectors, modern });
    const description = virtioBalloonPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), sample.bytes)).toBe(0);
    expect(state.virtio.features64.guest_features).toBe(features);
    expect(state).toMatchObject({
      queue_count: 3,
      config_len: 16,
      device: {
        num_pages: pages,
        actual: pages,
        free_page_report: { free_page_hint_cmd_id: 0x80000000, free_page_hint_status: 0 },
        page_poison: { poison_val: 0 },
      },
      // The buffer for statistics has been taken, and not given back.
      vqs: [{ num: 128 }, { num: 128, last_avail_idx: 0 }, { num: 128, last_avail_idx: 1 }],
    });
  });

  it("s390-ccw-5dev-10.0.stream comes back to the same bytes", () => {
    const sample = realSection(readStream("s390-ccw-5dev-10.0.stream"), "/fe.0.0004/virtio-balloon");
    const description = virtioBalloonCcwFamily.build(virtioBalloonCcwFamily.infer(sample));
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), sample.bytes)).toBe(0);
    expect(state).toMatchObject({
      device: { num_pages: 0, actual: 0, page_poison: { poison_val: 0 } },
      virtio: { features64: { guest_features: 0x1_3000_0012n } },
      vqs: [{ last_avail_idx: 0 }, { last_avail_idx: 0 }, { last_avail_idx: 1 }],
    });
  });
});
