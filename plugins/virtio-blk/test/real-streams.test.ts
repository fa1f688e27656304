// Sections "virtio-blk" that QEMU wrote: read with parameters that are found, not given, and written back.
import { decodeRecord, encodeRecord, encodeState, type SectionSample, toState } from "@godwit/core";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { virtioBlkPciFamily } from "../src/pci.ts";

const read = new Map<string, Uint8Array>();

/** A section's body, found by its idstr; its length is the manifest's. */
function sectionOf(raw: string, idstr: string): SectionSample {
  const stream = read.get(raw) ?? readStream(raw);
  if (raw.startsWith("q35-vtd-virtio-7.2")) read.set(raw, stream);
  const bytes = manifest()
    .flatMap(({ files }) => files)
    .find((file) => file.raw === raw)
    ?.stream?.sections.find((section) => section.idstr === idstr)?.bytes;
  if (bytes === undefined) throw new Error(`${raw} has no section ${idstr}`);
  const at = Buffer.from(stream.buffer, stream.byteOffset, stream.length).lastIndexOf(`${idstr}\0\0\0\0`);
  const from = at + idstr.length + 8;
  return { idstr, instance: 0, version: 2, bytes: stream.slice(from, from + bytes) };
}

const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", slot: "0000:00:02.0", last: 41, features: 0x103_3000_6e54n, modern: true },
  { raw: "q35-vtd-virtio-10.0.stream", slot: "0000:00:02.0", last: 41, features: 0x103_3000_6e54n, modern: true },
  {
    raw: "i440fx-transitional-virtio-7.2.stream",
    slot: "0000:00:03.0",
    last: 26,
    features: 0x101_3000_6e54n,
    modern: true,
  },
  { raw: "i440fx-legacy-virtio-7.2.stream", slot: "0000:00:03.0", last: 26, features: 0x3000_6e54n, modern: false },
  { raw: "q35-xbzrle-7.2.stream", slot: "0000:00:02.0", last: 61, features: 0x101_3000_6e54n, modern: true },
  { raw: "q35-retarget-10.0.stream", slot: "0000:00:02.0", last: 41, features: 0x103_3000_6e54n, modern: true },
];

describe.skipIf(!haveStreams())("virtio-blk from QEMU", () => {
  it.each(cases)("$raw comes back to the same bytes", ({ raw, slot, last, features, modern }) => {
    const sample = sectionOf(raw, `${slot}/virtio-blk`);
    const parameters = virtioBlkPciFamily.infer(sample);
    expect(parameters).toMatchObject({ queues: 1, packed: false, configBytes: 256, msixVectors: 2, modern });
    const description = virtioBlkPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), sample.bytes)).toBe(0);
    expect(state).toMatchObject({
      queue_count: 1,
      config_len: 57,
      legacy: [],
      vqs: [{ num: 256, last_avail_idx: last }],
    });
    expect(state.virtio.features64.guest_features).toBe(features);
    // The disk of the command line: 16,777,216 bytes in blocks of 512.
    const config = new DataView(state.config.buffer, state.config.byteOffset);
    expect(config.getBigUint64(0, true)).toBe(16777216n / 512n);
    expect([config.getUint32(12, true), config.getUint32(20, true), config.getUint16(34, true)]).toEqual([254, 512, 1]);
  });

  it("finds the requests in a section that has some, and says where it cannot be read", () => {
    const sample = sectionOf("q35-vtd-virtio-7.2.stream", "0000:00:02.0/virtio-blk");
    const description = virtioBlkPciFamily.build(virtioBlkPciFamily.infer(sample));
    const state = toState(description, decodeRecord(description, sample.bytes));
    const request = { queue: 0, element: { index: 9, out: [{ address: 64, length: 16 }], in: [] } };
    const bytes = encodeState(description, { ...state, legacy: [request, request] });
    expect(bytes).toHaveLength(sample.bytes.length + 2 * (1 + 49168));
    expect(virtioBlkPciFamily.infer({ ...sample, bytes })).toMatchObject({ queues: 1, packed: false });

    const packed = virtioBlkPciFamily.build({ ...virtioBlkPciFamily.infer(sample), packed: true });
    const counted = encodeState(packed, {
      ...state,
      legacy: [{ ...request, element: { ...request.element, ndescs: 1 } }],
    });
    expect(virtioBlkPciFamily.infer({ ...sample, bytes: counted })).toMatchObject({ queues: 1, packed: true });

    const list = bytes.length - 2 * (1 + 49168) - 1;
    expect(list).toBeGreaterThan(0);
    const wrong = sample.bytes.slice();
    const configAt = indexOfConfig(wrong, state.config);
    wrong[configAt + 34] = 3;
    expect(() => virtioBlkPciFamily.infer({ ...sample, bytes: wrong })).toThrow("PARAMETER_WRONG");
  });
});

function indexOfConfig(bytes: Uint8Array, config: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(config);
}
