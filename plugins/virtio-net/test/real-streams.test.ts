// Sections "virtio-net" that QEMU wrote: read with parameters that are found, not given, and written back.
import { decodeRecord, encodeRecord, encodeState, type SectionSample, toState } from "@godwit/core";
import { haveStreams, manifest, readStream } from "@godwit/test-support/streams";
import { describe, expect, it } from "vitest";
import { virtioNetPciFamily } from "../src/pci.ts";
import { mac } from "./support/net-driver.ts";

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
  return { idstr, instance: 0, version: 11, bytes: stream.slice(from, from + bytes) };
}

const q35 = { slot: "0000:00:01.0", address: "52:54:00:12:34:56", modern: true };
const i440fx = { slot: "0000:00:02.0", address: "52:54:00:12:34:57" };
const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", ...q35, last: [0, 15, 12], features: 0x103_30af_8024n, vlans: 0 },
  { raw: "q35-vtd-virtio-10.0.stream", ...q35, last: [0, 15, 12], features: 0x103_30af_8024n, vlans: 0xff },
  {
    raw: "i440fx-transitional-virtio-7.2.stream",
    ...i440fx,
    modern: true,
    last: [7, 13, 12],
    features: 0x101_30af_8024n,
    vlans: 0,
  },
  {
    raw: "i440fx-legacy-virtio-7.2.stream",
    ...i440fx,
    modern: false,
    last: [0, 11, 12],
    features: 0x38af_8064n,
    vlans: 0,
  },
  { raw: "q35-xbzrle-7.2.stream", ...q35, last: [0, 7, 12], features: 0x101_30af_8024n, vlans: 0 },
  { raw: "q35-retarget-10.0.stream", ...q35, last: [0, 15, 12], features: 0x103_30af_8024n, vlans: 0xff },
];

describe.skipIf(!haveStreams())("virtio-net from QEMU", () => {
  it.each(cases)("$raw comes back to the same bytes", ({ raw, slot, address, last, features, modern, vlans }) => {
    const sample = sectionOf(raw, `${slot}/virtio-net`);
    const parameters = virtioNetPciFamily.infer(sample);
    expect(parameters).toMatchObject({ queuePairs: 1, configBytes: 256, msixVectors: 4, modern });
    const description = virtioNetPciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), sample.bytes)).toBe(0);
    expect(state.vqs.map(({ num, last_avail_idx }) => [num, last_avail_idx])).toEqual([
      [256, last[0]],
      [256, last[1]],
      [64, last[2]],
    ]);
    expect(state.virtio.features64.guest_features).toBe(features);
    expect([...state.config]).toEqual([...mac(address), 1, 0]);
    const { device } = state;
    expect(device).toMatchObject({
      mac: Uint8Array.from(mac(address)),
      tx_waiting: 0,
      status: 1,
      promisc: 0,
      allmulti: 0,
      mac_table_in_use: 3,
      max_queue_pairs: 1,
      curr_queue_pairs: 1,
      has_vnet_hdr: 0,
      has_ufo: 0,
      curr_guest_offloads: 0n,
    });
    // What Linux listens to: all nodes, all hosts, and its own solicited-node address.
    const solicited = `33:33:ff:${address.slice(9)}`;
    expect([...device.mac_table_macs]).toEqual([
      ...mac("33:33:00:00:00:01"),
      ...mac("01:00:5e:00:00:01"),
      ...mac(solicited),
    ]);
    expect(new Set(device.vlans)).toEqual(new Set([vlans]));
  });

  it("tells queue pairs by the section's own bytes, and never guesses", () => {
    const sample = sectionOf("q35-vtd-virtio-7.2.stream", "0000:00:01.0/virtio-net");
    const single = virtioNetPciFamily.infer(sample);
    const from = virtioNetPciFamily.build(single);
    const state = toState(from, decodeRecord(from, sample.bytes));
    const many = virtioNetPciFamily.build({ ...single, queuePairs: 8 });
    const pairs = { max_queue_pairs: 8, curr_queue_pairs: 3, more_tx_waiting: Uint32Array.of(1, 0) };
    const bytes = encodeState(many, { ...state, device: { ...state.device, ...pairs } });
    expect(bytes).toHaveLength(sample.bytes.length + 4 + 8);
    expect(virtioNetPciFamily.infer({ ...sample, bytes })).toEqual({ ...single, queuePairs: 8 });

    const config = Uint8Array.of(...state.config, 4, 0);
    const contradicting = encodeState(many, {
      ...state,
      config,
      config_len: 10,
      device: { ...state.device, ...pairs },
    });
    expect(() => virtioNetPciFamily.infer({ ...sample, bytes: contradicting })).toThrow(/PARAMETER_WRONG.*queuePairs/);
    const cut = sample.bytes.subarray(0, 900);
    expect(() => virtioNetPciFamily.infer({ ...sample, bytes: cut })).toThrow("STREAM_TRUNCATED");
  });
});
