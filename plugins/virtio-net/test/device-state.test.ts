// "virtio-net-device" v11, byte by byte, in every shape that its conditions allow (wire reference 13.7).
import {
  decodeRecord,
  decodeState,
  encodeRecord,
  encodeState,
  isMigrationError,
  type StateOf,
  struct,
  u32,
  vmstate,
} from "@godwit/core";
import type { VirtioDialect } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { type VirtioNetState, virtioNetDevice } from "../src/device-state.ts";

/** The class description inside a record that has the negotiated features, as a section has it. */
function around(queuePairs: number, dialect: VirtioDialect = "10.0") {
  return vmstate({
    name: "around",
    version: 1,
    fields: { guest_features: u32, device: struct(virtioNetDevice({ queuePairs, dialect })) },
  });
}

type Around = StateOf<ReturnType<typeof around>>;

const be = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff);
const ascii = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));
const subsection = (name: string, version: number, body: number[]): number[] => [
  5,
  name.length,
  ...ascii(name),
  ...be(version, 4),
  ...body,
];

const mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const table = [0x33, 0x33, 0, 0, 0, 1, 1, 0, 0x5e, 0, 0, 1];
const vlans = Array.from({ length: 512 }, (_, i) => i & 0xff);

interface Parts {
  features?: number;
  macs?: number[];
  pairs?: number[];
  more?: number[];
  offloads?: number[];
  tail?: number[];
}

function bytesOf({ features = 0, macs = table, pairs = [], more = [], offloads = [], tail = [] }: Parts): Uint8Array {
  return Uint8Array.of(
    ...be(features, 4),
    ...mac,
    ...be(1, 4), // tx_waiting
    ...be(0, 4), // mergeable_rx_bufs
    ...be(1, 2), // status
    ...[0, 1], // promisc, allmulti
    ...be(macs.length / 6, 4),
    ...macs,
    ...vlans,
    ...be(0, 4), // has_vnet_hdr
    ...[0, 0, 1, 0, 0, 1], // multi_overflow, uni_overflow, alluni, nomulti, nouni, nobcast
    0, // has_ufo
    ...pairs,
    ...more,
    ...offloads,
    ...tail,
  );
}

function bothWays(queuePairs: number, bytes: Uint8Array, dialect?: VirtioDialect): VirtioNetState {
  const description = around(queuePairs, dialect);
  const record = decodeRecord(description, bytes);
  expect(encodeRecord(description, record)).toEqual(bytes);
  const state: Around = decodeState(description, bytes);
  expect(encodeState(description, state)).toEqual(bytes);
  return state.device;
}

function codeOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return isMigrationError(error) ? [error.code, error.location.path] : error;
  }
  return undefined;
}

describe("virtio-net-device", () => {
  it("has its fields at their places, with one queue pair", () => {
    const bytes = bytesOf({});
    expect(bytes).toHaveLength(4 + 6 + 4 + 4 + 2 + 2 + 4 + 12 + 512 + 4 + 6 + 1);
    expect(bothWays(1, bytes)).toMatchObject({
      mac: Uint8Array.from(mac),
      tx_waiting: 1,
      mergeable_rx_bufs: 0,
      status: 1,
      promisc: 0,
      allmulti: 1,
      mac_table_in_use: 2,
      mac_table_macs: Uint8Array.from(table),
      vlans: Uint8Array.from(vlans),
      alluni: 1,
      nomulti: 0,
      nouni: 0,
      nobcast: 1,
      has_ufo: 0,
      max_queue_pairs: 1,
      curr_queue_pairs: 1,
      more_tx_waiting: new Uint32Array(0),
      curr_guest_offloads: 0n,
    });
  });

  it("has offloads where CTRL_GUEST_OFFLOADS was negotiated", () => {
    const state = bothWays(1, bytesOf({ features: 1 << 2, offloads: be(0x1ef, 8) }));
    expect(state.curr_guest_offloads).toBe(0x1efn);
  });

  it("has queue pairs, and a tx_waiting for each further one in use", () => {
    const pairs = [...be(4, 2), ...be(3, 2)];
    const state = bothWays(
      4,
      bytesOf({ features: 1 << 2, pairs, more: [...be(7, 4), ...be(0, 4)], offloads: be(9, 8) }),
    );
    expect(state).toMatchObject({
      max_queue_pairs: 4,
      curr_queue_pairs: 3,
      more_tx_waiting: Uint32Array.of(7, 0),
      curr_guest_offloads: 9n,
    });
    const decode = (most: number, used: number) => () =>
      decodeRecord(around(4), bytesOf({ pairs: [...be(most, 2), ...be(used, 2)], more: new Array(32).fill(0) }));
    expect(codeOf(decode(5, 1))).toEqual(["FIELD_UNEQUAL", "device.max_queue_pairs"]);
    expect(codeOf(decode(4, 5))).toEqual(["FIELD_CHECK", "device.curr_queue_pairs"]);
    expect(codeOf(decode(4, 0))).toEqual(["FIELD_CHECK", "device.curr_queue_pairs"]);
  });

  it("keeps a MAC table of 64 entries; a larger one is whole in the record, and overflows in the state", () => {
    const full = new Array(64 * 6).fill(2);
    expect(bothWays(1, bytesOf({ macs: full }))).toMatchObject({ mac_table_in_use: 64, mac_table_multi_overflow: 0 });
    const bytes = bytesOf({ macs: [...full, ...table] });
    const record = decodeRecord(around(1), bytes);
    expect(record).toMatchObject({ device: { mac_table_in_use: 66, mac_table_uni_overflow: 0 } });
    expect(encodeRecord(around(1), record)).toEqual(bytes);
    expect(decodeState(around(1), bytes).device).toMatchObject({
      mac_table_in_use: 0,
      mac_table_macs: new Uint8Array(0),
      mac_table_multi_overflow: 1,
      mac_table_uni_overflow: 1,
    });
    const huge = bytesOf({ macs: [] });
    new DataView(huge.buffer).setUint32(4 + 18, 0xffff_ffff);
    expect(codeOf(() => decodeRecord(around(1), huge))).toEqual(["LENGTH_BOUND", "device.mac_table_macs"]);
  });

  const key = Array.from({ length: 40 }, (_, i) => i);
  const rss = (version: number): number[] => [
    ...[1, 1, 0],
    ...be(0x3f, 4),
    ...(version === 2 ? be(0x1ff, 4) : []),
    ...be(2, 2),
    ...be(1, 2),
    ...key,
    ...[...be(3, 2), ...be(0, 2)],
  ];

  it("has receive-side scaling: v1 of 7.2, v2 of 10.0, which reads both", () => {
    const v1 = bytesOf({ tail: subsection("virtio-net-device/rss", 1, rss(1)) });
    const v2 = bytesOf({ tail: subsection("virtio-net-device/rss", 2, rss(2)) });
    expect(bothWays(1, v1, "7.2").rss).toEqual({
      enabled: true,
      redirect: true,
      populate_hash: false,
      hash_types: 0x3f,
      supported_hash_types: 0,
      indirections_len: 2,
      default_queue: 1,
      key: Uint8Array.from(key),
      indirections_table: Uint16Array.of(3, 0),
    });
    expect(bothWays(1, v2).rss).toMatchObject({ supported_hash_types: 0x1ff, hash_types: 0x3f });
    const description = around(1);
    expect(decodeState(description, v1).device.rss.supported_hash_types).toBe(0);
    expect(encodeRecord(description, decodeRecord(description, v1))).toEqual(v1);
    expect(codeOf(() => decodeRecord(around(1, "7.2"), v2))).toContain("SUBSECTION_VERSION");
  });

  it("has a back end's own state, as chunks", () => {
    const chunks = [...be(3, 4), ...[1, 2, 3], ...be(1, 4), 9, ...be(0, 4)];
    const state = bothWays(1, bytesOf({ tail: subsection("virtio-net-device/backend", 0, chunks) }));
    expect(state.backend.chunks).toEqual([Uint8Array.of(1, 2, 3), Uint8Array.of(9)]);
    const broken = bytesOf({ tail: subsection("virtio-net-device/backend", 0, [...be(0xffff_ffff, 4), 0]) });
    expect(codeOf(() => decodeRecord(around(1), broken))).toEqual(["FIELD_CHECK", "device.backend.chunks[0]"]);
  });
});
