// Sections "virtio-rng" that QEMU wrote: read with parameters that are found, not given, and written back.
import { decodeRecord, encodeRecord, encodeState, toState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { realSection } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioRngCcwFamily } from "../src/ccw.ts";
import { virtioRngPciFamily } from "../src/pci.ts";

const q35 = { slot: "0000:00:03.0", features: 0x103_3000_0000n, modern: true };
const i440fx = { slot: "0000:00:04.0" };
const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", ...q35 },
  { raw: "q35-vtd-virtio-10.0.stream", ...q35 },
  { raw: "q35-retarget-10.0.stream", ...q35 },
  { raw: "i440fx-transitional-virtio-7.2.stream", ...i440fx, features: 0x101_3000_0000n, modern: true },
  { raw: "i440fx-legacy-virtio-7.2.stream", ...i440fx, features: 0x3000_0000n, modern: false },
];

describe.skipIf(!haveStreams())("virtio-rng from QEMU", () => {
  it.each(cases)("$raw comes back to the same bytes", ({ raw, slot, features, modern }) => {
    const sample = realSection(readStream(raw), `${slot}/virtio-rng`);
    const parameters = virtioRngPciFamily.infer(sample);
    expect(parameters).toMatchObject({ configBytes: 256, msixVectors: 2, modern });
    const description = virtioRngPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), sample.bytes)).toBe(0);
    expect(state).toMatchObject({ queue_count: 1, config_len: 0, device: {}, legacy: {}, vqs: [{ num: 8 }] });
    expect(state.virtio.features64.guest_features).toBe(features);
  });

  it.each(["s390-ccw-virtio-7.2.stream", "s390-ccw-5dev-10.0.stream"])("$0 comes back to the same bytes", (raw) => {
    const sample = realSection(readStream(raw), "/fe.0.0003/virtio-rng");
    const description = virtioRngCcwFamily.build(virtioRngCcwFamily.infer(sample));
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), sample.bytes)).toBe(0);
    expect(state).toMatchObject({ queue_count: 1, config_len: 0, device: {}, vqs: [{ num: 8, last_avail_idx: 68 }] });
  });
});
