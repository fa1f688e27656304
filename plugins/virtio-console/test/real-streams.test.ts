// Sections "virtio-console" that QEMU wrote: read with parameters that are found, not given, and written back.
import { decodeRecord, encodeRecord, encodeState, toState } from "@godwit/core";
import { haveStreams, readStream } from "@godwit/test-support/streams";
import { realSection } from "@godwit/virtio-testkit";
import { describe, expect, it } from "vitest";
import { virtioConsolePciFamily } from "../src/pci.ts";
import { noElement } from "../src/serial-state.ts";

const idstr = "0000:00:05.0/virtio-console";
const cases = [
  { raw: "q35-vtd-virtio-7.2.stream", features: 0x103_3000_0002n },
  { raw: "q35-vtd-virtio-10.0.stream", features: 0x103_3000_0002n },
];

describe.skipIf(!haveStreams())("virtio-console from QEMU", () => {
  it.each(cases)("$raw comes back to the same bytes", ({ raw, features }) => {
    const sample = realSection(readStream(raw), idstr);
    const parameters = virtioConsolePciFamily.infer(sample);
    expect(parameters).toMatchObject({ maxPorts: 31, packed: false, configBytes: 256, msixVectors: 2, modern: true });
    const description = virtioConsolePciFamily.build(parameters);
    const record = decodeRecord(description, sample.bytes);
    expect(Buffer.compare(encodeRecord(description, record), sample.bytes)).toBe(0);
    const state = toState(description, record);
    expect(Buffer.compare(encodeState(description, state), sample.bytes)).toBe(0);
    expect(state.virtio.features64.guest_features).toBe(features);
    expect(state).toMatchObject({ queue_count: 64, config_len: 12, device: {} });
    expect(state.legacy).toEqual({
      cols: 0,
      rows: 0,
      max_nr_ports: 31,
      ports_map: Uint32Array.of(3),
      nr_active_ports: 1,
      ports: [
        {
          id: 1,
          guest_connected: 0,
          host_connected: 1,
          elem_popped: 0,
          iov_idx: 0,
          iov_offset: 0,
          element: noElement,
        },
      ],
    });
  });
});
